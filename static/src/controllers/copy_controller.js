// Copies a text.
//
//   <div data-controller="copy"><code data-copy-target="text">…</code>
//     <button data-action="copy#copy" data-copy-done-value="Copied"><span data-copy-target="label">Copy</span></button></div>

import { Controller } from "@hotwired/stimulus";

import { copy } from "../lib/clipboard.js";

export default class extends Controller {
  static targets = ["text", "label"];

  async copy(event) {
    const text = this.textTarget.dataset.copyValue ?? this.textTarget.textContent;
    const button = event.currentTarget;
    await copy(text, button);
    if (this.hasLabelTarget) {
      const before = this.labelTarget.textContent;
      this.labelTarget.textContent = button.dataset.copyDoneValue;
      setTimeout(() => (this.labelTarget.textContent = before), 1500);
    }
    button.classList.add("text-green");
    setTimeout(() => button.classList.remove("text-green"), 1500);
  }
}
