// Rows that can be chosen, and what can be done to those that are. The choice survives live updates of the rows.
//
//   <form data-controller="selection" data-action="htmx:afterSettle@document->selection#restore">
//     <input type="checkbox" data-selection-target="all" data-action="selection#toggleAll">
//     <input type="checkbox" name="containers" value="ID" data-selection-target="box" data-action="selection#changed">
//     <div data-selection-target="bar" hidden> <span data-selection-target="count"></span> … </div>
//   </form>

import { Controller } from "@hotwired/stimulus";

// What is chosen outlives the form: a list that is fetched anew is a new form, and it is the same list.
const kept = new Map(); // id of the form -> set of values

export default class extends Controller {
  static targets = ["all", "box", "bar", "count"];
  static values = { one: String, many: String }; // "1 chosen", "{n} chosen"

  connect() {
    const before = this.element.id ? kept.get(this.element.id) : null;
    this.chosen = before ?? new Set();
    if (this.element.id) kept.set(this.element.id, this.chosen);
    if (before) this.restore();
    else this.changed();
  }

  boxTargetConnected(box) {
    if (this.chosen?.has(box.value)) box.checked = true;
    this.draw();
  }

  boxTargetDisconnected() {
    this.draw();
  }

  changed() {
    for (const box of this.boxTargets) {
      if (box.checked) this.chosen.add(box.value);
      else this.chosen.delete(box.value);
    }
    this.draw();
  }

  /** A row that was replaced keeps its tick; one that is gone is no longer chosen. */
  restore() {
    const present = new Set(this.boxTargets.map((box) => box.value));
    for (const value of this.chosen) if (!present.has(value)) this.chosen.delete(value);
    for (const box of this.boxTargets) box.checked = this.chosen.has(box.value);
    this.draw();
  }

  toggleAll() {
    for (const box of this.boxTargets) box.checked = this.allTarget.checked;
    this.changed();
  }

  clear() {
    for (const box of this.boxTargets) box.checked = false;
    this.changed();
  }

  draw() {
    if (!this.chosen) return;
    const count = this.boxTargets.filter((box) => box.checked).length;
    if (this.hasBarTarget) this.barTarget.hidden = count === 0;
    if (this.hasCountTarget) {
      this.countTarget.textContent = count === 1 ? this.oneValue : this.manyValue.replace("{n}", count);
    }
    if (this.hasAllTarget) {
      this.allTarget.checked = count > 0 && count === this.boxTargets.length;
      this.allTarget.indeterminate = count > 0 && count < this.boxTargets.length;
    }
    for (const box of this.boxTargets) box.closest("tr")?.classList.toggle("table-active", box.checked);
  }
}
