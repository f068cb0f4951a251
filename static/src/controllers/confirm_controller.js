// The one dialog that asks before something is lost. It names the action and what is lost, never "Yes".
//
// A submit button asks by its data: data-confirm (the question), data-confirm-loss, data-confirm-action (the button's
// words), data-confirm-options ("name=label", a box that is sent along; "|" parts several). {n} in them is the number of
// chosen rows with the noun of data-confirm-noun ("container|containers"). data-confirm-detail is an address that tells
// more about the chosen ones: how much is lost.

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static targets = ["title", "loss", "detail", "options", "action"];

  connect() {
    this.ask = (event) => this.intercept(event);
    document.addEventListener("click", this.ask, true);
  }

  disconnect() {
    document.removeEventListener("click", this.ask, true);
  }

  intercept(event) {
    const button = event.target.closest("[data-confirm]");
    if (!button || button.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const form = button.form;
    const chosen = form.querySelectorAll('[data-selection-target="box"]:checked').length;
    const nouns = (button.dataset.confirmNoun || "").split("|");
    const count = `${chosen} ${chosen === 1 ? nouns[0] : nouns[1]}`;
    const fill = (text) => (text || "").replace("{n}", count);
    this.titleTarget.textContent = fill(button.dataset.confirm);
    this.lossTarget.textContent = fill(button.dataset.confirmLoss);
    this.actionTarget.textContent = fill(button.dataset.confirmAction);
    this.tellMore(button, form);
    this.optionsTarget.replaceChildren(...this.boxes(button.dataset.confirmOptions));
    this.element.returnValue = "";
    this.element.showModal();
    this.element.addEventListener("close", () => this.answered(button, form), { once: true });
  }

  async tellMore(button, form) {
    this.detailTarget.textContent = "";
    const address = button.dataset.confirmDetail;
    if (!address) return;
    const chosen = new FormData(form).getAll("containers").map((id) => ["containers", id]);
    const answer = await fetch(`${address}?${new URLSearchParams(chosen)}`);
    if (!answer.ok || answer.redirected) return; // the dialog says enough without it
    const part = document.createRange().createContextualFragment(await answer.text());
    this.detailTarget.textContent = part.textContent.trim();
  }

  boxes(options) {
    return (options || "").split("|").filter(Boolean).map((option) => this.box(option));
  }

  box(options) {
    const at = options.indexOf("=");
    const label = document.createElement("label");
    label.className = "form-check";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.className = "form-check-input";
    box.name = options.slice(0, at);
    const text = document.createElement("span");
    text.className = "form-check-label";
    text.textContent = options.slice(at + 1);
    label.append(box, text);
    return label;
  }

  successor(button, form) {
    const action = form.getAttribute("action");
    return [...document.querySelectorAll("[data-confirm]")].find(
      (other) => other.form?.getAttribute("action") === action && other.name === button.name && other.value === button.value,
    );
  }

  answered(asked, askedForm) {
    // The page may have refreshed itself behind the dialog: then the same button of the fresh form is meant.
    const button = asked.isConnected ? asked : this.successor(asked, askedForm);
    button?.focus();
    if (!button || this.element.returnValue !== "confirm") return;
    const form = button.form;
    const sent = [];
    for (const box of this.optionsTarget.querySelectorAll("input:checked")) {
      const hidden = document.createElement("input");
      hidden.type = "hidden";
      hidden.name = box.name;
      hidden.value = "1";
      form.append(hidden);
      sent.push(hidden);
    }
    button.dataset.confirmed = "yes";
    form.requestSubmit(button);
    delete button.dataset.confirmed;
    for (const hidden of sent) hidden.remove();
  }
}
