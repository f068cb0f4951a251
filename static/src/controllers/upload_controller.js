// Sends a large file in pieces, goes on after a cut, and then submits the form that names it.
//
//   <form data-controller="upload" data-upload-begin-value="/…/uploads/" data-upload-piece-value="4194304">
//     <input type="hidden" name="upload" data-upload-target="id"> <input type="file" data-upload-target="file">
//     <progress data-upload-target="bar"> <span data-upload-target="words"> <button data-action="upload#send">
//
// The server says how much it has: with 409 where a piece begins at another place, so that nothing is sent twice.

import { Controller } from "@hotwired/stimulus";

import { seconds, size } from "../lib/amounts.js";

const TRIES = 6;

export default class extends Controller {
  static targets = ["id", "file", "drop", "name", "sum", "bar", "words", "button", "stop"];
  static values = { optional: String, begin: String, piece: Number, sending: String, waiting: String, done: String, failed: String };

  disconnect() {
    this.stop();
  }

  over(event) {
    event.preventDefault();
    this.dropTarget.classList.add("drop-over");
  }

  away() {
    this.dropTarget.classList.remove("drop-over");
  }

  drop(event) {
    event.preventDefault();
    this.away();
    if (event.dataTransfer.files.length) {
      this.fileTarget.files = event.dataTransfer.files;
      this.chosen();
    }
  }

  chosen() {
    const file = this.fileTarget.files[0];
    this.upload = null;
    this.idTarget.value = "";
    if (file) this.nameTarget.textContent = `${file.name} (${size(file.size)})`;
  }

  async send(event) {
    if (!this.wanted()) return;
    // What is here already, of a form that came back with a mistake, is not sent again.
    if (this.idTarget.value && !this.fileTarget.files.length) return;
    event.preventDefault();
    const file = this.fileTarget.files[0];
    if (!file) {
      this.fileTarget.click();
      return;
    }
    if (!this.element.reportValidity()) return;
    this.working(true);
    try {
      this.upload ??= await this.begin(file);
      await this.pieces(file);
      this.idTarget.value = this.upload.id;
      this.say(this.doneValue);
      this.element.submit();
    } catch (error) {
      this.working(false);
      if (error.name !== "AbortError") this.say(error.told || this.failedValue);
    }
  }

  stop() {
    this.abort?.abort();
  }

  /** Whether the form, as it is filled in, has a file to send: `optional` names the field that says so, and its value. */
  wanted() {
    const [name, value] = this.optionalValue.split(":");
    return !name || this.element.querySelector(`[name="${CSS.escape(name)}"]:checked`)?.value === value;
  }

  async begin(file) {
    const form = new FormData();
    form.set("name", file.name);
    form.set("size", file.size);
    const answer = await this.post(this.beginValue, form);
    const found = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(found.error), { told: found.error });
    return found;
  }

  async pieces(file) {
    let at = 0;
    let failures = 0;
    const begun = performance.now();
    let from = null;
    while (at < file.size) {
      const piece = file.slice(at, at + this.pieceValue);
      let answer = null;
      try {
        answer = await this.post(`${this.upload.address}?offset=${at}`, piece);
      } catch (error) {
        if (error.name === "AbortError") throw error;
      }
      if (answer?.ok || answer?.status === 409) {
        at = (await answer.json()).received;
        from ??= at;
        failures = 0;
        this.draw(at, file.size, (at - from) / Math.max(0.001, (performance.now() - begun) / 1000));
      } else if (answer && answer.status < 500) {
        const told = answer.status === 422 ? (await answer.json()).error : null;
        throw Object.assign(new Error("refused"), { told });
      } else {
        failures += 1;
        if (failures > TRIES) throw new Error("gave up");
        this.say(this.waitingValue);
        await new Promise((resolve) => setTimeout(resolve, Math.min(500 * 2 ** failures, 10_000)));
      }
    }
  }

  post(address, body) {
    const headers = JSON.parse(document.body.getAttribute("hx-headers"));
    return fetch(address, { method: "POST", body, headers, signal: this.abort.signal });
  }

  working(on) {
    if (on) this.abort = new AbortController();
    this.sumTarget.hidden = !on && !this.upload;
    this.stopTarget.hidden = !on;
    this.buttonTarget.disabled = on;
  }

  draw(done, total, speed) {
    this.barTarget.value = (100 * done) / total;
    const left = speed > 0 ? seconds((total - done) / speed) : "…";
    const parts = { done: size(done), total: size(total), speed: size(speed), left };
    this.say(this.sendingValue.replace(/{(\w+)}/g, (_, name) => parts[name]));
  }

  say(words) {
    this.sumTarget.hidden = false;
    this.wordsTarget.textContent = words;
  }
}
