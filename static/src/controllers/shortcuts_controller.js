// Keys that work on every page: / filters, ? helps, g and a letter goes somewhere; on an object's page its data-key ones.
//
//   <body data-controller="shortcuts">

import { Controller } from "@hotwired/stimulus";

import { typing } from "../lib/typing.js";

const PLACES = { d: "", c: "containers/", i: "images/", b: "builds/", n: "networks/", v: "volumes/", r: "registries/" };

export default class extends Controller {
  connect() {
    this.press = (event) => this.key(event);
    document.addEventListener("keydown", this.press);
  }

  disconnect() {
    document.removeEventListener("keydown", this.press);
  }

  key(event) {
    if (typing(event)) return;
    if (this.going) {
      this.going = false;
      this.go(event.key);
      return;
    }
    if (event.key === "/") {
      const filter = document.querySelector("[data-shortcuts-filter]");
      if (filter) {
        event.preventDefault();
        filter.focus();
        filter.select();
      }
    } else if (event.key === "?") {
      this.help();
    } else if (event.key === "g") {
      this.going = true;
      setTimeout(() => (this.going = false), 1500);
    } else if (!document.querySelector('[data-controller~="rows-keyboard"]')) {
      document.querySelector(`.object [data-key="${CSS.escape(event.key)}"]`)?.click();
    }
  }

  go(letter) {
    const base = /^\/e\/[^/]+\//.exec(document.querySelector(".rail nav a")?.getAttribute("href") || "");
    if (letter === "j") window.location.assign("/jobs/");
    else if (base && letter in PLACES) window.location.assign(base[0] + PLACES[letter]);
  }

  help() {
    document.getElementById("shortcuts")?.showModal();
  }
}
