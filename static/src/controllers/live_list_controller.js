// A list that follows the engine: a row that changed is fetched alone, a new one brings the list.
//
//   <div data-controller="live-list" data-live-list-kind-value="container"
//        data-live-list-row-value="/e/local/containers/ID/row/" data-live-list-list-value="#container-list">
//     <div id="container-list"> … <tr data-id="…"> … </div>
//   </div>

import { Controller } from "@hotwired/stimulus";
import htmx from "htmx.org";

const TOGETHER = 120; // milliseconds: events of one action come close to each other
const MANY = 12; // more rows than this are fetched as one list

export default class extends Controller {
  static values = { kind: String, row: String, list: String };

  connect() {
    this.changed = new Map(); // id -> what happened to it last
    this.fetching = new Set(); // ids of the rows that are under way
    this.again = new Set(); // those of them that have changed since
    this.hear = (event) => this.note(event.detail);
    this.reset = () => this.refreshList();
    this.letGo = (event) => {
      if (!event.target.dataset.id) return;
      event.preventDefault();
      this.refreshRow(event.target.dataset.id);
    };
    document.body.addEventListener(`live:${this.kindValue}`, this.hear);
    document.body.addEventListener("live:reset", this.reset);
    this.element.addEventListener("in-hand:let-go", this.letGo);
  }

  disconnect() {
    document.body.removeEventListener(`live:${this.kindValue}`, this.hear);
    document.body.removeEventListener("live:reset", this.reset);
    this.element.removeEventListener("in-hand:let-go", this.letGo);
    clearTimeout(this.timer);
  }

  note({ id, action }) {
    this.changed.set(id, action);
    this.timer ??= setTimeout(() => this.flush(), TOGETHER);
  }

  flush() {
    this.timer = null;
    const changed = [...this.changed];
    this.changed.clear();
    const rows = changed.map(([id, action]) => [id, action, this.rowOf(id)]);
    const strange = rows.some(([, action, row]) => !row && action !== "destroy");
    if (strange || rows.length > MANY) {
      this.refreshList();
      return;
    }
    for (const [id, action, row] of rows) {
      if (!row) continue;
      if (action === "destroy") this.take(row);
      else this.refreshRow(id);
    }
  }

  take(row) {
    const next = row.contains(document.activeElement) ? (row.nextElementSibling ?? row.previousElementSibling) : null;
    row.remove();
    next?.querySelector("a")?.focus({ preventScroll: true });
    this.told();
    if (!this.element.querySelector("tr[data-id]")) this.refreshList();
  }

  refreshList() {
    this.fetch(window.location.href, this.element.querySelector(this.listValue), "innerHTML");
  }

  /** One request a row at a time: what changes meanwhile is fetched afterwards, into the row that stands there then. */
  async refreshRow(id) {
    if (this.fetching.has(id)) {
      this.again.add(id);
      return;
    }
    const row = this.rowOf(id);
    if (!row) return;
    this.fetching.add(id);
    await this.fetch(this.rowValue.replace("ID", id), row, "outerHTML");
    this.fetching.delete(id);
    if (this.again.delete(id)) this.refreshRow(id);
  }

  async fetch(path, target, swap) {
    // Each is its own source: of those that wait for the same one, htmx keeps only the last.
    await htmx.ajax("GET", path, { source: target, target, swap }).catch(() => {}); // the bar says that nobody answers
    this.told();
  }

  /** Those who keep something about the rows look again. */
  told() {
    this.element.querySelector('[data-controller~="selection"]')?.dispatchEvent(new CustomEvent("live-list:changed"));
  }

  rowOf(id) {
    return this.element.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
  }
}
