// The page of one container: tells its parts when the engine says that it changed.
//
//   <div data-controller="object" data-object-id-value="ID"> <div hx-get="…" hx-trigger="object:changed from:body">

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static values = { id: String };

  connect() {
    this.hear = ({ detail }) => {
      if (detail.id === this.idValue && detail.action !== "destroy") this.tell();
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

  disconnect() {
    document.body.removeEventListener("live:container", this.hear);
    document.body.removeEventListener("live:reset", this.tell);
    clearTimeout(this.timer);
  }
}
