// A table by keyboard: j and k move, x chooses, Enter opens, other keys press the row's button with that data-key.
//
//   <form data-controller="rows-keyboard"> … <tr data-href="…"> … <button data-key="s">

import { Controller } from "@hotwired/stimulus";

import { typing } from "../lib/typing.js";

let here = ""; // the id of the row that is being looked at: it outlives a list that is fetched anew

export default class extends Controller {
  connect() {
    this.press = (event) => this.key(event);
    this.click = (event) => this.open(event);
    this.mark = new MutationObserver(() => document.getElementById(here)?.classList.add("row-here"));
    document.addEventListener("keydown", this.press);
    this.element.addEventListener("click", this.click);
    this.mark.observe(this.element, { childList: true, subtree: true });
    if (here) document.getElementById(here)?.classList.add("row-here");
  }

  disconnect() {
    this.mark.disconnect();
    document.removeEventListener("keydown", this.press);
    this.element.removeEventListener("click", this.click);
  }

  get rows() {
    return [...this.element.querySelectorAll("tbody tr")];
  }

  key(event) {
    if (typing(event)) return;
    const rows = this.rows;
    const at = rows.findIndex((row) => row.classList.contains("row-here"));
    if (event.key === "j" || event.key === "k") {
      const next = event.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0);
      rows[at]?.classList.remove("row-here");
      rows[next]?.classList.add("row-here");
      here = rows[next]?.id ?? "";
      rows[next]?.querySelector("a")?.focus();
      rows[next]?.scrollIntoView({ block: "nearest" });
      event.preventDefault();
      return;
    }
    const row = rows[at];
    if (!row) return;
    if (event.key === "x") {
      row.querySelector('[data-selection-target="box"]')?.click();
      event.preventDefault();
    } else {
      row.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
    }
  }

  /** A click into a row's empty space opens it. */
  open(event) {
    if (event.target.closest("a, button, input, label") || window.getSelection().toString()) return;
    const row = event.target.closest("tr[data-href]");
    if (!row) return;
    if (event.ctrlKey || event.metaKey) window.open(row.dataset.href);
    else window.location.assign(row.dataset.href);
  }
}
