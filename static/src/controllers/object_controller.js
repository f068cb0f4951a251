// The page of one container: tells its parts when the engine says that it changed.
//
//   <div data-controller="object" data-object-id-value="ID"> <div hx-get="…" hx-trigger="object:changed from:body">

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static values = { id: String };

  connect() {
    // On a phone the row of tabs is wider than the page: show where one is.
    const tab = this.element.querySelector(".tabs [aria-current]");
    if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2;
    this.hear = ({ detail }) => {
      if (detail.id !== this.idValue) return;
      if (detail.action === "destroy") this.gone();
      else this.tell();
    };
    this.tell = () => {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        document.body.dispatchEvent(new CustomEvent("object:changed"));
      }, 120);
    };
    document.body.addEventListener("live:container", this.hear);
    document.body.addEventListener("live:reset", this.tell);
  }

  /** Who has removed it here is on the way to the list; others are told, and can do nothing with it any more. */
  gone() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.element.querySelector("#object-head").inert = true;
      document.body.dispatchEvent(new CustomEvent("object:changed"));
    }, 1000);
  }

  disconnect() {
    document.body.removeEventListener("live:container", this.hear);
    document.body.removeEventListener("live:reset", this.tell);
    clearTimeout(this.timer);
  }
}
