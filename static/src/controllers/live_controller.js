// The page's ear: hears what changed in its environment and tells the page, which fetches it anew.
//
//   <main data-controller="live" data-live-url-value="/ws/e/local/events/">
//
// Dispatches on <body>: live:container, live:image, live:network, live:volume, live:job (detail: {id, action}),
// live:job:<id>, and live:reset when something may have been missed.

import { Controller } from "@hotwired/stimulus";

import { LiveSocket } from "../lib/socket.js";

export default class extends Controller {
  static values = { url: String };

  connect() {
    this.bar = document.querySelector("[data-live-bar]");
    this.lost = false;
    this.socket = new LiveSocket(this.urlValue, {
      open: () => this.found(),
      message: (data) => this.hear(JSON.parse(data)),
      closed: ({ code, final }) => this.closed(code, final),
    });
  }

  disconnect() {
    this.socket.close();
  }

  hear(message) {
    if (message.type === "away") {
      this.heard = true; // what comes after it is no page that is fresh
      this.show(true);
    } else if (message.type === "reset") {
      this.show(false);
      // The first reset follows the page itself, which is fresh.
      if (this.heard) this.tell("reset", {});
      this.heard = true;
    } else {
      this.tell(message.type, message);
      if (message.type === "job") this.tell(`job:${message.id}`, message);
    }
  }

  found() {
    this.show(false);
    if (this.lost) this.tell("reset", {});
    this.lost = false;
  }

  closed(code, final) {
    this.lost = true;
    if (code === 4401) window.location.reload();
    else if (!final) this.show(true);
  }

  show(away) {
    if (this.bar) this.bar.hidden = !away;
  }

  tell(name, detail) {
    document.body.dispatchEvent(new CustomEvent(`live:${name}`, { detail, bubbles: true }));
  }
}
