// The page's ear: hears what changed in its environment and tells the page, which fetches it anew.
//
//   <main data-controller="live" data-live-url-value="/ws/e/local/events/" data-live-since-value="1764170000.5">
//
// The server is told when the page was asked for, and tells first what has changed between then and now.
// Dispatches on <body>: live:container, live:image, live:network, live:volume, live:job (detail: {id, action}),
// live:job:<id>, and live:reset when something may have been missed.

import { Controller } from "@hotwired/stimulus";

import { LiveSocket } from "../lib/socket.js";

export default class extends Controller {
  static values = { url: String, since: String };

  connect() {
    this.bar = document.querySelector("[data-live-bar]");
    this.lost = false;
    // After a lost connection everything is fetched once, so that nothing before it matters.
    const path = () => (this.lost ? this.urlValue : `${this.urlValue}?since=${this.sinceValue}`);
    this.socket = new LiveSocket(path, {
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
      this.show(true);
    } else if (message.type === "reset") {
      this.show(false);
      this.tell("reset", {});
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
