// A message: good news leave by themselves, bad news stay until they are read.
//
//   <div data-controller="message" data-message-brief-value="true"> … <button data-action="message#close">

import { Controller } from "@hotwired/stimulus";

const BRIEF = 6000;

export default class extends Controller {
  static values = { brief: Boolean };

  connect() {
    if (this.briefValue) this.timer = setTimeout(() => this.close(), BRIEF);
  }

  disconnect() {
    clearTimeout(this.timer);
  }

  close() {
    this.element.remove();
  }
}
