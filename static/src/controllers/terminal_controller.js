// A terminal in a running container.
//
//   <section data-controller="terminal" data-terminal-url-value="/ws/e/local/containers/ID/terminal/">
//     <select data-terminal-target="shell"></select> <input data-terminal-target="user">
//     <button data-terminal-target="start" data-action="terminal#start">Connect</button>
//     <div data-terminal-target="screen"></div> <p data-terminal-target="state" role="status"></p>
//   </section>
//
// Bytes go both ways as binary frames; control is JSON text: {"type": "resize", "rows", "cols"} up, {"type": "ready"} and
// {"type": "end", "reason", "code"} down. A terminal never reconnects by itself: the shell that was there is gone.

import { Controller } from "@hotwired/stimulus";
import { FitAddon } from "@xterm/addon-fit";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";

import { copy } from "../lib/clipboard.js";

const encoder = new TextEncoder();

export default class extends Controller {
  static targets = ["screen", "shell", "user", "start", "stop", "state", "reader", "again"];
  static values = { url: String, auto: Boolean, connecting: String, open: String, lost: String, leave: String, again: String };

  connect() {
    this.leaving = (event) => {
      if (this.live) event.preventDefault();
    };
    this.leavingPage = (event) => {
      if (this.live && event.detail?.boosted && !window.confirm(this.leaveValue)) event.preventDefault();
    };
    window.addEventListener("beforeunload", this.leaving);
    document.addEventListener("htmx:beforeRequest", this.leavingPage);
    if (this.autoValue) this.start();
  }

  disconnect() {
    window.removeEventListener("beforeunload", this.leaving);
    document.removeEventListener("htmx:beforeRequest", this.leavingPage);
    this.stop();
    this.resizes?.disconnect();
    this.terminal?.dispose();
  }

  start() {
    this.stop();
    this.prepareScreen();
    this.tell(this.connectingValue, "connecting");
    const query = new URLSearchParams({
      shell: this.shellTarget.value,
      user: this.userTarget.value.trim(),
      rows: this.terminal.rows,
      cols: this.terminal.cols,
    });
    const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${window.location.host}${this.urlValue}?${query}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.ended = false;
    socket.addEventListener("message", ({ data }) => this.receive(data));
    socket.addEventListener("close", ({ reason }) => {
      if (this.socket !== socket) return;
      if (!this.ended) this.finish(reason || this.lostValue);
    });
  }

  prepareScreen() {
    if (this.terminal) {
      this.terminal.reset();
      return;
    }
    const style = getComputedStyle(this.element);
    this.terminal = new Terminal({
      cursorBlink: true,
      fontFamily: style.getPropertyValue("--tblr-font-monospace") || "monospace",
      fontSize: 14,
      scrollback: 10_000,
      screenReaderMode: this.readerTarget.checked,
      theme: { background: "#0d1117", foreground: "#e6edf3", cursor: "#58a6ff", selectionBackground: "#264f78" },
    });
    this.fit = new FitAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.loadAddon(new WebLinksAddon());
    this.terminal.open(this.screenTarget);
    this.fit.fit();
    this.terminal.onData((text) => this.type(encoder.encode(text)));
    this.terminal.onBinary((text) => this.type(Uint8Array.from(text, (character) => character.charCodeAt(0))));
    this.terminal.onResize(({ rows, cols }) => this.control({ type: "resize", rows, cols }));
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    this.resizes = new ResizeObserver(() => this.fit.fit());
    this.resizes.observe(this.screenTarget);
  }

  receive(data) {
    if (data instanceof ArrayBuffer) {
      // The server stops sending while the screen is behind: a flood of output must not fill the tab's memory.
      this.terminal.write(new Uint8Array(data), () => this.control({ type: "ack", bytes: data.byteLength }));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "ready") {
      this.setLive(true);
      this.tell(this.openValue, "live");
      this.terminal.focus();
    } else if (message.type === "end") {
      this.ended = true;
      this.finish(message.reason);
    }
  }

  finish(reason) {
    this.setLive(false);
    this.tell(reason, "ended");
    // In the screen as well: people look there, and it says where the output stopped.
    this.terminal?.write(`\r\n\x1b[2m— ${reason.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, " ")} —\x1b[0m\r\n`);
    // What was there is gone: the button says that another shell begins.
    this.againTarget.textContent = this.againValue;
    this.startTarget.focus();
  }

  stop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.setLive(false);
  }

  disconnectShell() {
    this.socket?.close(1000);
  }

  setLive(live) {
    this.live = live;
    this.startTarget.hidden = live;
    this.stopTarget.hidden = !live;
  }

  type(bytes) {
    if (this.live && this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  control(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Ctrl-Shift-C copies, Ctrl-Shift-V pastes; everything else belongs to the shell. */
  key(event) {
    if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
    if (event.code === "KeyC" && this.terminal.hasSelection()) {
      event.preventDefault();
      copy(this.terminal.getSelection(), this.terminal.textarea);
      return false;
    }
    return event.code !== "KeyV"; // the browser pastes by itself
  }

  reader() {
    if (this.terminal) this.terminal.options.screenReaderMode = this.readerTarget.checked;
  }

  tell(text, state) {
    this.stateTarget.textContent = text;
    this.stateTarget.dataset.state = state;
  }
}
