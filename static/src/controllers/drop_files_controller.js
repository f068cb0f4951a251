// Files into a directory: chosen by a button or dropped anywhere on the list, sent with a bar of progress.
//
//   <div data-controller="drop-files" data-drop-files-url-value="…" data-drop-files-limit-value="1000000000">
//     <form> <input type="hidden" data-drop-files-target="path"> <input type="file" data-drop-files-target="files"> </form>
//     <p data-drop-files-target="state" hidden></p> …

import { Controller } from "@hotwired/stimulus";
import htmx from "htmx.org";

export default class extends Controller {
  static targets = ["path", "files", "state"];
  static values = { url: String, limit: Number, much: String, going: String, failed: String };

  connect() {
    this.over = (event) => this.hover(event);
    this.out = (event) => {
      if (!this.element.contains(event.relatedTarget)) this.element.classList.remove("drop-here");
    };
    this.drop = (event) => this.dropped(event);
    this.element.addEventListener("dragover", this.over);
    this.element.addEventListener("dragleave", this.out);
    this.element.addEventListener("drop", this.drop);
    this.leave = (event) => {
      if (this.request) event.preventDefault();
    };
    window.addEventListener("beforeunload", this.leave);
  }

  disconnect() {
    this.element.removeEventListener("dragover", this.over);
    this.element.removeEventListener("dragleave", this.out);
    this.element.removeEventListener("drop", this.drop);
    window.removeEventListener("beforeunload", this.leave);
    this.request?.abort();
  }

  hover(event) {
    if (!this.hasPathTarget || ![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    this.element.classList.add("drop-here");
  }

  dropped(event) {
    if (!this.hasPathTarget) return;
    event.preventDefault();
    this.element.classList.remove("drop-here");
    this.send([...event.dataTransfer.files]);
  }

  chosen() {
    this.send([...this.filesTarget.files]);
  }

  /** XMLHttpRequest, for fetch does not tell how much of a body has gone. */
  send(files) {
    if (!files.length || this.request) return;
    if (files.reduce((sum, file) => sum + file.size, 0) > this.limitValue) {
      this.tell(this.muchValue);
      return;
    }
    const body = new FormData();
    body.append("path", this.pathTarget.value);
    body.append("fetch", "1");
    for (const file of files) body.append("files", file, file.name);
    const request = new XMLHttpRequest();
    this.request = request;
    request.open("POST", this.urlValue);
    request.setRequestHeader("X-CSRFToken", this.element.querySelector("[name=csrfmiddlewaretoken]").value);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      this.tell(this.goingValue.replace("{p}", Math.floor((100 * loaded) / total)));
    });
    request.addEventListener("loadend", () => this.sent(request));
    request.send(body);
  }

  sent(request) {
    this.request = null;
    if (this.hasFilesTarget) this.filesTarget.value = "";
    if (request.status !== 200 && request.status !== 422) {
      this.tell(this.failedValue);
      return;
    }
    this.stateTarget.hidden = true;
    document.getElementById("messages").innerHTML = request.responseText;
    if (request.status === 200) {
      htmx.ajax("GET", window.location.pathname + window.location.search, { target: this.element, swap: "innerHTML" });
    }
  }

  tell(text) {
    this.stateTarget.hidden = false;
    this.stateTarget.textContent = text;
  }
}
