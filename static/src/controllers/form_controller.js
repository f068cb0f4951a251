// A form page: the cursor goes to the first mistake, a field is checked on leaving it, leaving with changes asks.
//
//   <form data-controller="form">

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  connect() {
    this.changed = false;
    this.element.querySelector(".field-wrong input, .field-wrong select")?.focus();
    this.note = () => (this.changed = true);
    this.leave = (event) => {
      if (this.changed) event.preventDefault();
    };
    this.check = ({ target }) => this.validate(target);
    this.send = () => (this.changed = false);
    this.element.addEventListener("input", this.note);
    this.element.addEventListener("focusout", this.check);
    this.element.addEventListener("submit", this.send);
    window.addEventListener("beforeunload", this.leave);
  }

  disconnect() {
    window.removeEventListener("beforeunload", this.leave);
  }

  /** The browser's own words for what its own rules find; the server finds the rest. */
  validate(field) {
    const holder = field.closest(".field");
    if (!holder || !field.willValidate) return;
    holder.querySelector(".field-live")?.remove();
    const wrong = !field.validity.valid && field.value !== "";
    holder.classList.toggle("field-wrong", wrong);
    field.setAttribute("aria-invalid", wrong ? "true" : "false");
    if (wrong) {
      const words = document.createElement("p");
      words.className = "field-error field-live";
      words.textContent = field.validationMessage;
      holder.append(words);
    }
  }
}
