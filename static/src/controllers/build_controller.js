// A build as it goes: its stages as a drawing, its steps with their times, and what each of them prints.
//
//   <section data-controller="build" data-build-url-value="/…/state/" data-build-job-value="ID"> … </section>
//
// The page fetches what is new: how far the build is, and the log from where it has read to. It does so when it hears that
// the job changed, and every second while it runs, so that a lost connection costs nothing.

import { Controller } from "@hotwired/stimulus";

import { size } from "../lib/amounts.js";
import { nodes } from "../lib/ansi.js";
import { element } from "../lib/elements.js";
import { layout, stagesOf } from "../lib/stage_graph.js";

const LINES = 2000; // of a step that the page holds; the whole log can be fetched
const SVG = "http://www.w3.org/2000/svg";

export default class extends Controller {
  static targets = ["warnings", "marks", "graph", "drawing", "steps", "step", "nothing"];
  static values = {
    url: String,
    job: String,
    waiting: String,
    running: String,
    done: String,
    cached: String,
    failed: String,
    changed: String,
    earlier: String,
    line: String,
  };

  connect() {
    this.rows = new Map(); // step number -> its elements
    this.offset = 0;
    this.drawn = "";
    this.heard = () => this.fetch();
    document.body.addEventListener(`live:job:${this.jobValue}`, this.heard);
    document.body.addEventListener("live:reset", this.heard);
    this.fetch();
  }

  disconnect() {
    clearTimeout(this.timer);
    document.body.removeEventListener(`live:job:${this.jobValue}`, this.heard);
    document.body.removeEventListener("live:reset", this.heard);
    this.gone = true;
  }

  /** One question at a time; one that comes meanwhile is asked afterwards. */
  async fetch() {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    clearTimeout(this.timer);
    let next = 3000;
    try {
      const answer = await fetch(`${this.urlValue}?offset=${this.offset}`, { headers: { Accept: "application/json" } });
      if (answer.ok && !answer.redirected && !this.gone) {
        const state = await answer.json();
        this.draw(state);
        next = state.more ? 0 : state.active ? 1000 : null;
      }
    } catch {
      // The bar above says that the server is away.
    }
    this.asking = false;
    if (this.gone) return;
    if (this.again) {
      this.again = false;
      next = Math.min(next ?? 100, 100);
    }
    if (next !== null) this.timer = setTimeout(() => this.fetch(), next);
  }

  draw({ progress, log, offset, now, active }) {
    const steps = progress.steps ?? [];
    if (steps.length && this.hasNothingTarget) this.nothingTarget.remove();
    const end = active ? now : Math.max(0, ...steps.map((step) => step.ended || step.started));
    const begin = Math.min(...steps.map((step) => step.started).filter(Boolean));
    for (const step of steps) this.drawStep(step, { begin, end, active });
    this.drawStages(steps, end);
    this.drawWarnings(progress.warnings ?? []);
    if (offset < this.offset) for (const row of this.rows.values()) row.log.replaceChildren(); // it was begun anew
    this.offset = offset;
    for (const { s, e, t } of log) this.print(s, t, e === 1);
  }

  // --- steps --------------------------------------------------------------------------------------------------------

  row(number) {
    if (!this.rows.has(number)) {
      const item = this.stepTarget.content.firstElementChild.cloneNode(true);
      const find = (selector) => item.querySelector(selector);
      const row = {
        item,
        details: find("details"),
        words: find("code"),
        note: find(".step-note"),
        bar: find(".step-bar i"),
        time: find(".step-time"),
        size: find(".step-size"),
        state: find(".state"),
        word: find(".state-word"),
        log: find(".step-log"),
      };
      find(".step-number").textContent = number;
      const after = [...this.rows.keys()].filter((other) => other < number);
      if (after.length) this.rows.get(Math.max(...after)).item.after(item);
      else this.stepsTarget.prepend(item);
      this.rows.set(number, row);
    }
    return this.rows.get(number);
  }

  drawStep(step, { begin, end, active }) {
    const row = this.row(step.number);
    const state = step.state === "running" && !active ? "failed" : step.state;
    row.words.textContent = step.text;
    row.words.title = step.text;
    row.note.textContent = this.note(step);
    row.state.className = `state state-${COLOURS[state]}`;
    row.word.textContent = this[`${state}Value`];
    const through = step.ended || (step.started ? end : 0);
    row.time.textContent = step.started && state !== "cached" ? duration(through - step.started) : "";
    row.size.textContent = step.size ? size(step.size) : "";
    if (step.started && end > begin) {
      row.bar.style.left = `${(100 * (step.started - begin)) / (end - begin)}%`;
      row.bar.style.width = `${Math.max(0.5, (100 * (through - step.started)) / (end - begin))}%`;
    }
    row.item.dataset.state = state;
    // Whoever opened or closed it knows better.
    const opened = state === "failed" || (state === "running" && active);
    if (row.shown !== state) {
      if (opened !== row.details.open && !row.chosen) row.details.open = opened;
      row.shown = state;
    }
    row.details.onclick ??= () => {
      row.chosen = true;
    };
  }

  note(step) {
    if (step.pull?.total) return `${size(step.pull.current)} / ${size(step.pull.total)} · ${size(step.pull.speed)}/s`;
    if (!step.reason) return "";
    return step.changed.length ? `${step.reason} ${this.changedValue} ${step.changed.join(", ")}` : step.reason;
  }

  /** Add text to a step's output. Pieces need not end where lines do. */
  print(number, text, error) {
    if (!this.rows.has(number)) return;
    const { log } = this.row(number);
    const pinned = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    for (const [index, part] of text.split("\n").entries()) {
      if (index || !log.lastElementChild) this.line(log, error);
      if (part) this.fill(log.lastElementChild, part);
    }
    while (log.childElementCount > LINES) log.firstElementChild.remove();
    if (pinned) log.scrollTop = log.scrollHeight;
  }

  line(log, error) {
    const line = document.createElement("div");
    line.className = error ? "log-line log-stderr" : "log-line";
    log.append(line);
  }

  fill(line, part) {
    // A carriage return writes the line anew, as progress bars do.
    const text = (line.dataset.text ?? "") + part;
    const shown = text.slice(text.replace(/\r+$/, "").lastIndexOf("\r") + 1).replace(/\r+$/, "");
    line.dataset.text = text.slice(-4000);
    line.replaceChildren(nodes(shown, ""));
  }

  // --- stages and checks --------------------------------------------------------------------------------------------

  drawStages(steps, now) {
    const stages = stagesOf(steps, now);
    this.graphTarget.hidden = stages.length < 2;
    if (stages.length < 2) return;
    const picture = layout(stages);
    const root = svg("svg", { viewBox: `-4 -4 ${picture.width + 8} ${picture.height + 8}`, width: picture.width + 8 });
    for (const { from, to } of picture.lines) {
      const middle = (from[0] + to[0]) / 2;
      const way = `M${from[0]} ${from[1]} C${middle} ${from[1]} ${middle} ${to[1]} ${to[0]} ${to[1]}`;
      root.append(svg("path", { d: way, class: "stage-line" }));
    }
    for (const box of picture.boxes) {
      const group = svg("g", { class: `stage-box stage-${box.state}`, transform: `translate(${box.x} ${box.y})` });
      const name = svg("text", { x: 12, y: 21 });
      name.textContent = box.name.length > 20 ? `${box.name.slice(0, 19)}…` : box.name;
      const words = svg("text", { x: 12, y: 40, class: "stage-words" });
      words.textContent = [this[`${box.state}Value`], box.seconds ? duration(box.seconds) : ""].filter(Boolean).join(" · ");
      group.append(svg("rect", { width: box.width, height: box.height, rx: 8 }), name, words);
      root.append(group);
    }
    this.drawingTarget.replaceChildren(root);
  }

  drawWarnings(warnings) {
    const text = JSON.stringify(warnings);
    if (text === this.drawn) return;
    this.drawn = text;
    this.warningsTarget.hidden = warnings.length === 0;
    this.marksTarget.replaceChildren(
      ...warnings.map((warning) => {
        const row = document.createElement("li");
        row.className = "lint-warning";
        if (warning.line) row.append(element("span", this.lineValue.replace("{n}", warning.line), "lint-line"));
        row.append(element("strong", warning.rule), element("span", warning.text));
        if (warning.detail) row.append(element("small", warning.detail));
        return row;
      }),
    );
  }
}

const COLOURS = { waiting: "secondary", running: "blue", done: "green", cached: "green", failed: "red" };

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function svg(name, attributes) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  return found;
}
