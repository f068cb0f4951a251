// The docker command for a form, fetched anew while it is open and the form changes.
//
//   <form data-controller="preview" data-preview-url-value="…">
//     <details data-preview-target="details" data-action="toggle->preview#refresh"> <div data-preview-target="place">

import { Controller } from "@hotwired/stimulus";
import htmx from "htmx.org";

const PAUSE = 400; // milliseconds without a key

export default class extends Controller {
  static targets = ["details", "place"];
  static values = { url: String };

  connect() {
    this.changed = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), PAUSE);
    };
    this.element.addEventListener("input", this.changed);
  }

  disconnect() {
    clearTimeout(this.timer);
    this.element.removeEventListener("input", this.changed);
  }

  refresh() {
    if (!this.detailsTarget.open) return;
    const values = Object.fromEntries(new FormData(this.element));
    htmx.ajax("POST", this.urlValue, { target: this.placeTarget, swap: "innerHTML", values });
  }
}
