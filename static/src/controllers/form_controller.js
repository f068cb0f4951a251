// A form page: the cursor goes to the first mistake, a field is checked on leaving it, leaving with changes asks, and
// a session that has ended takes nothing away.
//
//   <form data-controller="form" data-form-check-value="/…/check/" data-form-session-value="/session/" …>
//
// The check answers {"errors": {"field": ["words", …]}} for the whole form; only what was touched is shown. Before the
// form goes off the session is asked for: the answer is a fresh token, or 401, and then the form stays where it is.

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static values = { check: String, session: String, ended: String, signIn: String };

  connect() {
    this.changed = false;
    this.touched = new Set();
    this.element.querySelector(".field-wrong :is(input, select, textarea)")?.focus();
    this.note = ({ target }) => {
      this.changed = true;
      this.touched.add(target.name);
      this.asked?.delete(target.name); // what is on its way is about what was there before
    };
    this.leave = (event) => {
      if (this.changed) event.preventDefault();
    };
    this.check = ({ target }) => this.validate(target);
    this.send = (event) => this.submit(event);
    this.element.addEventListener("input", this.note);
    this.element.addEventListener("focusout", this.check);
    this.element.addEventListener("submit", this.send);
    window.addEventListener("beforeunload", this.leave);
  }

  disconnect() {
    window.removeEventListener("beforeunload", this.leave);
  }

  // --- checking -----------------------------------------------------------------------------------------------------

  /** The browser's own words for what its own rules find, the server's for the rest. */
  async validate(field) {
    if (!field.closest(".field") || !field.willValidate || !this.touched.has(field.name)) return;
    const wrong = !field.validity.valid && field.value !== "";
    if (wrong || !this.hasCheckValue) {
      this.show(field, wrong ? [field.validationMessage] : []);
      return;
    }
    let errors;
    const asked = (this.asked = new Set(this.touched));
    try {
      const answer = await fetch(this.checkValue, { method: "POST", body: new FormData(this.element) });
      if (!answer.ok || answer.redirected) return; // the answer to the form itself will say what is wrong
      ({ errors } = await answer.json());
    } catch {
      return; // the bar above says that the server is away
    }
    if (asked !== this.asked) return; // a later one is on its way
    for (const name of asked) {
      const touched = this.element.elements.namedItem(name);
      if (touched instanceof Element && touched.closest(".field")) this.show(touched, errors[name] ?? []);
    }
  }

  show(field, errors) {
    const holder = field.closest(".field");
    for (const words of holder.querySelectorAll(".field-error")) words.remove();
    holder.classList.toggle("field-wrong", errors.length > 0);
    field.setAttribute("aria-invalid", errors.length > 0 ? "true" : "false");
    for (const text of errors) {
      const words = document.createElement("p");
      words.className = "field-error";
      words.textContent = text;
      holder.append(words);
    }
    this.application.getControllerForElementAndIdentifier(this.element, "tabs")?.count();
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  async submit(event) {
    if (!this.hasSessionValue || this.checked) {
      this.changed = false;
      this.checked = false;
      return;
    }
    event.preventDefault();
    const button = event.submitter;
    if (await this.signedIn()) {
      this.checked = true;
      this.element.requestSubmit(button);
    }
  }

  async signedIn() {
    let answer;
    try {
      answer = await fetch(this.sessionValue, { headers: { "HX-Request": "true" } });
    } catch {
      return true; // the browser will say that the server is away
    }
    if (answer.status === 401) {
      this.tellOfSession();
      return false;
    }
    // Signing in again made a new token; the old one would be refused.
    if (answer.ok) this.element.elements.namedItem("csrfmiddlewaretoken").value = await answer.text();
    return true;
  }

  tellOfSession() {
    let message = this.element.querySelector(".session-ended");
    if (!message) {
      message = document.createElement("div");
      message.className = "message message-error session-ended";
      message.setAttribute("role", "alert");
      const words = document.createElement("p");
      words.textContent = this.endedValue;
      const link = document.createElement("a");
      link.className = "btn btn-sm btn-primary";
      link.href = "/accounts/login/";
      link.target = "_blank";
      link.textContent = this.signInValue;
      message.append(words, link);
      this.element.querySelector(".form-foot").before(message);
    }
    message.querySelector("a").focus();
  }
}
