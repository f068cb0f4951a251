// A <details> that behaves as a menu: closes on Escape and on a click elsewhere.
//
//   <details data-controller="menu"><summary>…</summary> … </details>

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  connect() {
    this.elsewhere = (event) => {
      if (!this.element.contains(event.target)) this.element.open = false;
    };
    this.escape = (event) => {
      if (event.key === "Escape" && this.element.open) {
        this.element.open = false;
        this.element.querySelector("summary").focus();
      }
    };
    document.addEventListener("click", this.elsewhere);
    document.addEventListener("keydown", this.escape);
  }

  disconnect() {
    document.removeEventListener("click", this.elsewhere);
    document.removeEventListener("keydown", this.escape);
  }
}
