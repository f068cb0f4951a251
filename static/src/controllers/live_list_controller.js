// A list that follows the engine: a row that changed is fetched alone, a new one brings the list.
//
//   <div data-controller="live-list" data-live-list-kind-value="container"
//        data-live-list-row-value="/e/local/containers/ID/row/" data-live-list-list-value="#container-list">
//     <div id="container-list" data-refresh="/e/local/containers/?q=…"> … <tr data-id="…"> … </div>
//   </div>

import { Controller } from "@hotwired/stimulus";
import htmx from "htmx.org";

const TOGETHER = 120; // milliseconds: events of one action come close to each other
const MANY = 12; // more rows than this are fetched as one list

export default class extends Controller {
  static values = { kind: String, row: String, list: String };

  connect() {
    this.changed = new Map();
    this.hear = (event) => this.note(event.detail);
    this.reset = () => this.refreshList();
    document.body.addEventListener(`live:${this.kindValue}`, this.hear);
    document.body.addEventListener("live:reset", this.reset);
  }

  disconnect() {
    document.body.removeEventListener(`live:${this.kindValue}`, this.hear);
    document.body.removeEventListener("live:reset", this.reset);
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
      else htmx.ajax("GET", this.rowValue.replace("ID", id), { target: row, swap: "outerHTML" }).then(() => this.told());
    }
  }

  take(row) {
    row.remove();
    this.told();
    if (!this.element.querySelector("tr[data-id]")) this.refreshList();
  }

  refreshList() {
    const list = this.element.querySelector(this.listValue);
    htmx.ajax("GET", list.dataset.refresh, { target: list, swap: "outerHTML" }).then(() => this.told());
  }

  /** Those who keep something about the rows look again. */
  told() {
    this.element.querySelector('[data-controller~="selection"]')?.dispatchEvent(new CustomEvent("live-list:changed"));
  }

  rowOf(id) {
    return this.element.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
  }
}
