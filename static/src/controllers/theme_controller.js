// Turns the theme: as the system, light, dark.
//
//   <button data-controller="theme" data-action="theme#next" data-theme-light-value="Theme: light" …>

import { Controller } from "@hotwired/stimulus";

const ORDER = ["auto", "light", "dark"];

export default class extends Controller {
  static values = { auto: String, light: String, dark: String };

  connect() {
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.follow = () => this.apply();
    this.system.addEventListener("change", this.follow);
    this.apply();
  }

  disconnect() {
    this.system.removeEventListener("change", this.follow);
  }

  next() {
    const choice = ORDER[(ORDER.indexOf(this.choice) + 1) % ORDER.length];
    localStorage.setItem("theme", choice);
    this.apply();
  }

  get choice() {
    const stored = localStorage.getItem("theme");
    return ORDER.includes(stored) ? stored : "auto";
  }

  apply() {
    const dark = this.choice === "dark" || (this.choice === "auto" && this.system.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
    document.documentElement.dataset.themeChoice = this.choice;
    this.element.title = this[`${this.choice}Value`];
  }
}
