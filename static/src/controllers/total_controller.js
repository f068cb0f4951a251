// Adds up the sizes of the chosen rows, and lets the button be pressed only when there are some.
//
//   <form data-controller="total" data-total-none-value="Nothing is chosen" data-total-frees-value="Frees {size}">
//     <input type="checkbox" data-total-target="box" data-size="1234" data-action="total#draw">
//     <button data-total-target="button"> <span data-total-target="sum">

import { Controller } from "@hotwired/stimulus";

import { size as words } from "../lib/amounts.js";

export default class extends Controller {
  static targets = ["box", "sum", "button"];
  static values = { none: String, frees: String };

  connect() {
    this.draw();
  }

  draw() {
    const chosen = this.boxTargets.filter((box) => box.checked);
    const size = chosen.reduce((sum, box) => sum + Number(box.dataset.size || 0), 0);
    this.sumTarget.textContent = chosen.length ? this.freesValue.replace("{size}", words(size)) : this.noneValue;
    this.buttonTarget.disabled = chosen.length === 0;
  }
}
