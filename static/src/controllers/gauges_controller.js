// What the running containers of a list use, as it comes: the page says which rows it shows, the server how they feel.
//
//   <div data-controller="gauges" data-gauges-url-value="/ws/e/local/usage/">
//     <tr data-id="ID" data-running> <td data-gauge="cpu"> <td data-gauge="memory">
//
// Rows are replaced when something happens to them, so what was heard last is written into each new one.

import { Controller } from "@hotwired/stimulus";

import { share, size } from "../lib/amounts.js";
import { LiveSocket } from "../lib/socket.js";

const TOGETHER = 200; // milliseconds: rows change several at a time

export default class extends Controller {
  static values = { url: String };

  connect() {
    this.heard = new Map(); // id -> [cpu, memory, limit]
    this.watched = "";
    this.rowsChanged = new MutationObserver(() => {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        this.watch();
        this.fill();
      }, TOGETHER);
    });
    this.rowsChanged.observe(this.element, { childList: true, subtree: true });
    this.seen = () => this.watch();
    document.addEventListener("visibilitychange", this.seen);
    this.socket = new LiveSocket(this.urlValue, {
      open: () => {
        this.watched = "";
        this.watch();
      },
      message: (data) => this.hear(JSON.parse(data)),
    });
  }

  disconnect() {
    this.rowsChanged.disconnect();
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.seen);
    this.socket.close();
  }

  /** Asks for the rows that run; for none while nobody looks at the page. */
  watch() {
    const rows = document.hidden ? [] : this.element.querySelectorAll("tr[data-running]:has([data-gauge])");
    const ids = [...rows].map((row) => row.dataset.id);
    const text = ids.join(" ");
    if (text === this.watched) return;
    this.watched = text;
    this.socket.send(JSON.stringify({ type: "watch", ids }));
  }

  hear(message) {
    if (message.type !== "usage") return;
    for (const [id, values] of Object.entries(message.rows)) this.heard.set(id, values);
    this.watch();
    this.fill();
  }

  fill() {
    // Writing into a row is a change as well, and must not be taken for a new row.
    this.rowsChanged.disconnect();
    for (const row of this.element.querySelectorAll("tr[data-running]")) {
      const values = this.heard.get(row.dataset.id);
      if (values) this.show(row, values);
    }
    this.rowsChanged.observe(this.element, { childList: true, subtree: true });
  }

  show(row, [cpu, memory, limit]) {
    const write = (kind, text, title) => {
      const cell = row.querySelector(`[data-gauge="${kind}"]`);
      if (!cell) return;
      if (cell.textContent !== text) cell.textContent = text;
      cell.title = title;
    };
    write("cpu", cpu === null ? "…" : share(cpu), "");
    write("memory", size(memory), limit ? `${size(memory)} / ${size(limit)}` : "");
  }
}
