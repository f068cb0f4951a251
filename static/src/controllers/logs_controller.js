// The log viewer of a container.
//
//   <section data-controller="logs" data-logs-url-value="/ws/e/local/containers/ID/logs/">
//     <input data-logs-target="search" data-action="input->logs#search keydown->logs#searchKey">
//     <output data-logs-target="count"></output>
//     <div data-logs-target="viewport" data-action="copy->logs#copy" tabindex="0"></div>
//     <button data-logs-target="chip" data-action="logs#toEnd" hidden></button>
//     <p data-logs-target="state" role="status"></p>
//   </section>
//
// Lines are held in a LogStore; the page holds only the chunks near the reader, so a million lines stay light.
// The view stays at the end only while the reader is within a screen of it.

import { Controller } from "@hotwired/stimulus";

import { nodes } from "../lib/ansi.js";
import { LogPlace } from "../lib/log_place.js";
import { LogStore, isBefore, plain } from "../lib/log_store.js";
import { LiveSocket } from "../lib/socket.js";

const TOGETHER = 100; // milliseconds between two looks at what has come

export default class extends Controller {
  static targets = ["viewport", "search", "count", "chip", "state", "timestamps", "wrap", "tail"];
  static values = {
    url: String,
    connecting: String,
    live: String,
    ended: String,
    lost: String,
    fresh: String, // "{n} new lines"
    continued: String, // of a row that goes on with the line of the row above
    dropped: String, // "{n} older lines are no longer shown"
    matches: String, // "{i} of {n}"
    none: String,
  };

  connect() {
    this.store = new LogStore();
    this.elements = new Map(); // chunk number -> element
    this.pinned = true;
    this.unread = 0;
    this.top = 0;
    this.matchList = [];
    this.waiting = [];
    this.taken = 0;
    this.observer = new IntersectionObserver((entries) => this.seen(entries), {
      root: this.viewportTarget,
      rootMargin: "1200px 0px",
    });
    this.scrolled = () => this.onScroll();
    this.viewportTarget.addEventListener("scroll", this.scrolled, { passive: true });
    this.readPreferences();
    this.open();
  }

  disconnect() {
    this.observer.disconnect();
    this.viewportTarget.removeEventListener("scroll", this.scrolled);
    this.socket?.close();
    clearTimeout(this.taking);
    clearTimeout(this.recount);
    this.busy = null;
  }

  // --- the stream ---------------------------------------------------------------------------------------------------

  open() {
    this.socket?.close();
    this.clear();
    this.tell(this.connectingValue, "connecting");
    this.place = new LogPlace();
    this.socket = new LiveSocket(() => this.path(), {
      open: () => this.tell(this.liveValue, "live"),
      message: (data) => this.receive(JSON.parse(data)),
      closed: ({ final, reason }) => {
        if (!final) this.tell(this.lostValue, "lost");
        else if (this.stateTarget.dataset.state !== "ended") this.tell(reason || this.endedValue, "ended");
      },
    });
  }

  /** After a lost connection the stream goes on from the last line that arrived. */
  path() {
    const query = new URLSearchParams(this.place.last ? { since: this.place.last } : { tail: this.tailTarget.value });
    return `${this.urlValue}?${query}`;
  }

  receive(message) {
    if (message.type === "lines") {
      const lines = message.lines.map(([time, stream, text, more]) => ({ time, stream, text, more: more === 1 }));
      this.waiting.push(...this.place.unseen(lines));
      this.owed += 1;
      // What comes quickly is shown in one go: each look at the page costs the same, however many lines it is for.
      const wait = Math.max(0, this.taken + TOGETHER - performance.now());
      this.taking ??= setTimeout(() => this.take(), wait);
    } else if (message.type === "end") {
      this.tell(message.reason || this.endedValue, "ended");
    } else if (message.type === "resumed") {
      this.place.resumed();
    } else if (message.type === "error") {
      this.tell(message.reason, "ended");
    }
  }

  /** Shows the lines that wait, and tells the server that it may send more. */
  take() {
    clearTimeout(this.taking);
    this.taking = null;
    this.taken = performance.now();
    const lines = this.waiting;
    this.waiting = [];
    if (lines.length) this.add(lines);
    for (; this.owed > 0; this.owed--) this.socket.send(JSON.stringify({ type: "ack" }));
  }

  add(lines) {
    const { touched, gone, fresh } = this.store.append(lines);
    for (const chunk of gone) {
      this.observer.unobserve(this.elements.get(chunk.number));
      this.elements.get(chunk.number).remove();
      this.elements.delete(chunk.number);
    }
    for (const chunk of touched) this.refresh(chunk);
    if (this.pinned) {
      this.follow();
    } else if (fresh) {
      this.unread += fresh;
      this.chipTarget.textContent = this.freshValue.replace("{n}", this.unread.toLocaleString());
      this.chipTarget.hidden = false;
    }
    if (this.searchTarget.value) this.searchSoon();
  }

  // --- drawing ------------------------------------------------------------------------------------------------------

  refresh(chunk) {
    let element = this.elements.get(chunk.number);
    if (!element) {
      element = document.createElement("div");
      element.className = "log-chunk";
      element.chunk = chunk;
      this.elements.set(chunk.number, element);
      this.viewportTarget.append(element);
      this.reserve(element);
      this.observer.observe(element);
    }
    if (element.drawn) this.drawRest(element);
    else this.reserve(element);
  }

  /** An undrawn chunk keeps the room it had, or that its lines will need. */
  reserve(element) {
    const lines = element.chunk.lines.length;
    const height = element.measured && element.lines === lines ? element.measured : lines * this.lineHeight();
    element.style.height = `${height}px`;
  }

  lineHeight() {
    this.height ??= parseFloat(getComputedStyle(this.viewportTarget).lineHeight) || 20;
    return this.height;
  }

  seen(entries) {
    for (const entry of entries) {
      const element = entry.target;
      if (entry.isIntersecting && !element.drawn) {
        this.draw(element);
      } else if (!entry.isIntersecting && element.drawn) {
        element.measured = element.offsetHeight;
        element.lines = element.drawn;
        element.drawn = 0;
        element.replaceChildren();
        this.reserve(element);
      }
    }
    if (this.pinned) this.follow();
  }

  draw(element) {
    element.style.height = "";
    element.replaceChildren();
    element.drawn = 0;
    this.drawRest(element);
  }

  drawRest(element) {
    const wanted = this.searchTarget.value;
    const fragment = document.createDocumentFragment();
    const { lines, grown } = element.chunk;
    const from = Math.min(element.drawn, grown);
    for (let row = element.children[from]; row; row = element.children[from]) row.remove();
    for (let index = from; index < lines.length; index++) fragment.append(this.row(lines[index], wanted));
    element.drawn = element.chunk.grown = lines.length;
    element.append(fragment);
  }

  row(line, wanted) {
    const row = document.createElement("div");
    row.className = line.stream === 2 ? "log-line log-stderr" : "log-line";
    if (line.before !== null) {
      row.classList.add("log-continued");
      row.title = this.continuedValue;
    }
    const time = document.createElement("time");
    time.dateTime = line.time;
    time.textContent = shown(line.time);
    row.append(time, nodes(line.text, wanted));
    return row;
  }

  redraw() {
    for (const element of this.elements.values()) {
      if (element.drawn) this.draw(element);
    }
  }

  clear() {
    this.store.clear();
    this.observer.disconnect();
    this.elements.clear();
    this.viewportTarget.replaceChildren();
    clearTimeout(this.taking);
    this.taking = null;
    this.waiting = [];
    this.owed = 0;
    this.matchList = [];
    this.busy = null;
    this.searched = { number: 0, index: 0 };
    this.chipTarget.hidden = true;
    this.unread = 0;
    this.pinned = true;
  }

  // --- where the reader is ------------------------------------------------------------------------------------------

  onScroll() {
    const view = this.viewportTarget;
    const near = view.scrollHeight - view.scrollTop - view.clientHeight < view.clientHeight / 2;
    // New lines take the end away from the reader as well: only who goes up wants to stay there.
    if (near) this.pinned = true;
    else if (view.scrollTop < this.top) this.pinned = false;
    this.top = view.scrollTop;
    if (this.pinned) {
      this.unread = 0;
      this.chipTarget.hidden = true;
    }
  }

  follow() {
    if (this.following) return;
    this.following = requestAnimationFrame(() => {
      this.following = null;
      this.viewportTarget.scrollTop = this.viewportTarget.scrollHeight;
    });
  }

  toEnd() {
    this.pinned = true;
    this.unread = 0;
    this.chipTarget.hidden = true;
    this.follow();
  }

  // --- search -------------------------------------------------------------------------------------------------------

  search() {
    clearTimeout(this.searching);
    this.searching = setTimeout(async () => {
      this.matchList = [];
      this.at = -1;
      this.redraw();
      await this.find({ number: 0, index: 0 });
      if (this.matchList.length) this.jump(this.matchList.length - 1);
    }, 120);
  }

  /** New lines are searched by themselves, not all of them once more. */
  searchSoon() {
    this.recount ??= setTimeout(() => {
      this.recount = null;
      if (!this.busy) this.find(this.searched);
    }, 500);
  }

  /** Looks for the text from a place on, with breaks in which the page can do other things. */
  async find(from) {
    const text = this.searchTarget.value;
    const run = (this.busy = {});
    while (this.matchList.length && !isBefore(placeOf(this.matchList.at(-1)), from)) this.matchList.pop();
    this.searched = this.store.end();
    for (const found of this.store.scan(text, from)) {
      if (this.busy !== run) return;
      this.matchList.push(...found);
      this.showCount();
      await new Promise((resolve) => setTimeout(resolve));
    }
    if (this.busy !== run) return;
    this.busy = null;
    const first = this.store.chunks[0]?.number ?? 0;
    const gone = this.matchList.findIndex(({ chunk }) => chunk.number >= first);
    if (gone > 0) {
      this.matchList.splice(0, gone);
      this.at -= gone;
    }
    if (!(this.at >= 0 && this.at < this.matchList.length)) this.at = this.matchList.length - 1;
    this.showCount();
  }

  showCount() {
    if (!this.searchTarget.value) this.countTarget.textContent = "";
    else if (!this.matchList.length) this.countTarget.textContent = this.busy ? "…" : this.noneValue;
    else {
      this.countTarget.textContent = this.matchesValue
        .replace("{i}", this.at < 0 ? "…" : (this.at + 1).toLocaleString())
        .replace("{n}", this.matchList.length.toLocaleString());
    }
  }

  searchKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (event.shiftKey) this.next();
      else this.previous();
    } else if (event.key === "Escape") {
      this.searchTarget.value = "";
      this.search();
    }
  }

  /** Newest lines are at the bottom, so "previous" goes up, to older matches. */
  previous() {
    if (this.matchList.length) this.jump((this.at - 1 + this.matchList.length) % this.matchList.length);
  }

  next() {
    if (this.matchList.length) this.jump((this.at + 1) % this.matchList.length);
  }

  jump(position) {
    this.at = position;
    this.showCount();
    const { chunk, index } = this.matchList[position];
    const element = this.elements.get(chunk.number);
    if (!element) return;
    this.pinned = false;
    if (!element.drawn) this.draw(element);
    this.viewportTarget.querySelector(".log-current")?.classList.remove("log-current");
    const row = element.children[index];
    row.classList.add("log-current");
    // Of a line that is higher or wider than the view, where the words are: in it, or cut between it and the row above.
    const mark = row.querySelector("mark");
    if (mark) mark.scrollIntoView({ block: "center" });
    else row.scrollIntoView({ block: "start" });
  }

  // --- copying ------------------------------------------------------------------------------------------------------

  /** What is selected, also of chunks that are not drawn now; a line that goes on in another row is one line. */
  copy(event) {
    const selection = document.getSelection();
    const range = selection.isCollapsed ? null : selection.getRangeAt(0);
    if (!range || !this.viewportTarget.contains(range.commonAncestorContainer)) return;
    const parts = [];
    for (const element of this.viewportTarget.children) {
      if (!range.intersectsNode(element)) continue;
      element.chunk.lines.forEach((line, index) => {
        const row = element.drawn ? element.children[index] : null;
        if (row && !range.intersectsNode(row)) return;
        if (parts.length && line.before === null) parts.push("\n");
        parts.push(this.selected(range, row) ?? (this.timeShown(line) ? `${shown(line.time)} ` : "") + plain(line.text));
      });
    }
    event.clipboardData.setData("text/plain", parts.join(""));
    event.preventDefault();
  }

  /** The selected words of a row that the selection begins or ends in, null of any other. */
  selected(range, row) {
    const begins = row?.contains(range.startContainer);
    const ends = row?.contains(range.endContainer);
    if (!begins && !ends) return null;
    const part = document.createRange();
    part.selectNodeContents(row);
    if (begins) part.setStart(range.startContainer, range.startOffset);
    if (ends) part.setEnd(range.endContainer, range.endOffset);
    const words = part.cloneContents();
    if (!this.timestampsTarget.checked) words.querySelector("time")?.remove();
    return words.textContent;
  }

  timeShown(line) {
    return this.timestampsTarget.checked && line.before === null;
  }

  // --- preferences --------------------------------------------------------------------------------------------------

  readPreferences() {
    this.timestampsTarget.checked = localStorage.getItem("logs.timestamps") === "yes";
    this.wrapTarget.checked = localStorage.getItem("logs.wrap") !== "no";
    this.applyPreferences();
  }

  preferences() {
    localStorage.setItem("logs.timestamps", this.timestampsTarget.checked ? "yes" : "no");
    localStorage.setItem("logs.wrap", this.wrapTarget.checked ? "yes" : "no");
    this.applyPreferences();
    for (const element of this.elements.values()) element.measured = null;
    if (this.pinned) this.follow();
  }

  applyPreferences() {
    this.viewportTarget.classList.toggle("log-timestamps", this.timestampsTarget.checked);
    this.viewportTarget.classList.toggle("log-wrap", this.wrapTarget.checked);
  }

  tell(text, state) {
    this.stateTarget.textContent = text;
    this.stateTarget.dataset.state = state;
  }
}

function shown(time) {
  return time.slice(0, 23).replace("T", " ");
}

function placeOf({ chunk, index }) {
  return { number: chunk.number, index };
}
