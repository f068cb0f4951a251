// Finds anything by name, from every page: Ctrl-K, or ⌘K.
//
//   <dialog data-controller="palette"> <input data-palette-target="input" data-action="keydown->palette#key" hx-get="…">
//     <div role="listbox" data-action="htmx:afterSwap->palette#found htmx:afterSettle->palette#found"> <a role="option" data-palette-target="line">
//   <button data-palette-open>
//
// The focus stays in the field, as ARIA's combobox pattern has it: aria-activedescendant names the chosen line.

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static targets = ["input", "list", "line"];

  connect() {
    this.press = (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      // In a shell and in an editor these keys have a meaning of their own.
      if (event.target.closest?.(".xterm, [contenteditable]") || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      this.open();
    };
    this.click = (event) => {
      if (event.target.closest("[data-palette-open]")) this.open();
      else if (event.target === this.element) this.element.close(); // beside the dialog
    };
    document.addEventListener("keydown", this.press);
    document.addEventListener("click", this.click);
  }

  disconnect() {
    document.removeEventListener("keydown", this.press);
    document.removeEventListener("click", this.click);
  }

  open() {
    this.element.showModal();
    this.inputTarget.select();
    this.inputTarget.dispatchEvent(new CustomEvent("palette:opened"));
  }

  /**
   * New lines came, or settled, which takes marks away: the first is the best one, unless another was chosen since the
   * last word was typed.
   */
  found(event) {
    this.query = event.detail.requestConfig.parameters.q;
    this.mark(Math.max(this.lineTargets.findIndex((line) => line.href === this.chosen), 0));
    if (this.awaited && this.upToDate) this.enter();
  }

  get upToDate() {
    return this.query === this.inputTarget.value;
  }

  /** Open the chosen line; the lines of words typed just now are waited for. */
  enter() {
    this.awaited = !this.upToDate;
    if (!this.awaited) this.lineTargets.find((line) => line.ariaSelected === "true")?.click();
  }

  key(event) {
    const at = this.lineTargets.findIndex((line) => line.ariaSelected === "true");
    const last = this.lineTargets.length - 1;
    if (event.key === "Enter") {
      event.preventDefault();
      this.enter();
      return;
    }
    this.awaited = false;
    const to = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at <= 0 ? last : at - 1 }[event.key];
    this.chosen = this.lineTargets[to]?.href;
    if (to === undefined) return;
    event.preventDefault();
    this.mark(to);
  }

  mark(index) {
    this.lineTargets.forEach((line, at) => (line.ariaSelected = at === index ? "true" : "false"));
    const line = this.lineTargets[index];
    if (line) this.inputTarget.setAttribute("aria-activedescendant", line.id);
    else this.inputTarget.removeAttribute("aria-activedescendant");
    line?.scrollIntoView({ block: "nearest" });
  }
}
