// Parts of a form, one at a time; without this script all of them stand below each other.
//
//   <form data-controller="tabs"> <div role="tablist" data-tabs-target="list">
//     <button role="tab" id="tab-a" aria-controls="panel-a" data-tabs-target="tab" data-action="tabs#show keydown->tabs#key">
//       <span data-tabs-target="mistakes"></span> …
//     <section role="tabpanel" id="panel-a" data-tabs-target="panel"> …
//
// The tab with the first mistake opens, else the one that the address names by #panel-a, else the first.

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static targets = ["tab", "panel", "mistakes"];

  connect() {
    this.element.classList.add("tabbed");
    const wrong = this.panelTargets.find((panel) => panel.querySelector(".field-wrong"));
    const named = this.panelTargets.find((panel) => `#${panel.id}` === window.location.hash);
    this.open(this.panelTargets.indexOf(wrong ?? named ?? this.panelTargets[0]));
    if (wrong) wrong.querySelector(".field-wrong :is(input, select, textarea)")?.focus();
  }

  show(event) {
    this.open(this.tabTargets.indexOf(event.currentTarget));
  }

  /** As ARIA's tab pattern: arrows move along, Home and End to the ends. */
  key(event) {
    const at = this.tabTargets.indexOf(event.currentTarget);
    const last = this.tabTargets.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.open(to);
    this.tabTargets[to].focus();
  }

  open(index) {
    this.tabTargets.forEach((tab, at) => {
      tab.setAttribute("aria-selected", at === index ? "true" : "false");
      tab.tabIndex = at === index ? 0 : -1;
    });
    this.panelTargets.forEach((panel, at) => (panel.hidden = at !== index));
    // Only the row of tabs scrolls: scrollIntoView would move the page as well.
    const tab = this.tabTargets[index];
    const list = tab.parentElement;
    list.scrollLeft = Math.max(0, tab.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2);
  }

  /** How many fields of each panel are wrong now. */
  count() {
    this.panelTargets.forEach((panel, at) => {
      const wrong = panel.querySelectorAll(".field-wrong").length;
      this.mistakesTargets[at].hidden = wrong === 0;
      this.mistakesTargets[at].textContent = wrong;
    });
  }
}
