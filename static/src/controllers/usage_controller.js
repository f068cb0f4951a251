// What a container uses, drawn as it comes: five minutes of CPU, memory, network and block devices.
//
//   <section data-controller="usage" data-usage-url-value="/ws/…/stats/">
//     <output data-usage-target="now" data-kind="cpu">, <div data-usage-target="chart" data-kind="cpu" data-labels="a|b">
//
// Counters come as totals; what is drawn of network and block devices is the rate between two samples.

import { Controller } from "@hotwired/stimulus";
import uPlot from "uplot";

import { rate, share, size } from "../lib/amounts.js";
import { LiveSocket } from "../lib/socket.js";

const KEPT = 300;
const HEIGHT = 160;
const SHORTEST = 60; // seconds that an axis spans at least
const LEAST = { cpu: 0.01, memory: 1_000_000, network: 1000, disk: 1000 }; // what it reaches to at least
const COLOURS = ["#4263eb", "#f59f00"];
const SERIES = {
  // The first sample has none before it to tell a share from.
  cpu: (now, before) => [before ? now.cpu : null],
  memory: (now) => [now.memory],
  network: (now, before) => [rate(now, before, "received"), rate(now, before, "sent")],
  disk: (now, before) => [rate(now, before, "read"), rate(now, before, "written")],
};
const WORDS = {
  cpu: ([cpu]) => share(cpu),
  memory: ([memory], now) => (now.limit ? `${size(memory)} / ${size(now.limit)}` : size(memory)),
  network: ([received, sent]) => `↓ ${size(received)}/s ↑ ${size(sent)}/s`,
  disk: ([read, written]) => `${size(read)}/s · ${size(written)}/s`,
};
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
const spanned = (low, high) => [Math.min(low ?? high, high - SHORTEST), high];
const AXES = { cpu: share, memory: size, network: size, disk: size };

export default class extends Controller {
  static targets = ["chart", "now", "state"];
  static values = { url: String, connecting: String, live: String, idle: String, lost: String };

  connect() {
    this.plots = new Map(this.chartTargets.map((element) => [element.dataset.kind, this.plot(element)]));
    this.sizes = new ResizeObserver(() => this.fit());
    this.sizes.observe(this.element);
    this.tell(this.connectingValue, "connecting");
    this.socket = new LiveSocket(this.urlValue, {
      message: (data) => this.receive(JSON.parse(data)),
      closed: ({ final, reason }) => {
        if (!final) this.tell(this.lostValue, "lost");
        else if (reason) this.tell(reason, "ended");
      },
    });
  }

  disconnect() {
    this.sizes.disconnect();
    this.socket.close();
    for (const { chart } of this.plots.values()) chart.destroy();
  }

  receive(message) {
    if (message.type === "end") {
      this.tell(message.reason, "ended");
      return;
    }
    if (message.at === null) {
      // It does not run; the stream goes on and tells when it does.
      this.before = null;
      this.tell(this.idleValue, "connecting");
      return;
    }
    this.tell(this.liveValue, "live");
    const before = this.before;
    this.before = message;
    for (const [kind, { chart, data }] of this.plots) {
      const values = SERIES[kind](message, before);
      if (values.some((value) => value === null)) continue;
      data[0].push(message.at / 1000);
      values.forEach((value, index) => data[index + 1].push(value));
      if (data[0].length > KEPT) for (const row of data) row.shift();
      chart.setData(data);
      this.nowTargets.find((element) => element.dataset.kind === kind).textContent = WORDS[kind](values, message);
    }
  }

  plot(element) {
    const labels = element.dataset.labels.split("|");
    const data = [[], ...labels.map(() => [])];
    const words = AXES[element.dataset.kind];
    const style = getComputedStyle(element);
    const soft = style.getPropertyValue("--text-soft").trim() || "#888";
    const line = style.getPropertyValue("--line").trim() || "#8883";
    const chart = new uPlot(
      {
        width: element.clientWidth || 320,
        height: HEIGHT,
        legend: { show: labels.length > 1, live: false },
        cursor: { drag: { x: false, y: false } },
        padding: [null, 28, null, null], // room for half of the last time
        scales: {
          x: { range: (_, low, high) => spanned(low, high ?? Date.now() / 1000) },
          y: { range: (_, low, high) => [0, Math.max(high * 1.1, LEAST[element.dataset.kind])] },
        },
        series: [
          {},
          ...labels.map((label, index) => ({
            label,
            stroke: COLOURS[index],
            fill: `${COLOURS[index]}22`,
            width: 1.75,
            points: { show: false },
          })),
        ],
        axes: [
          { stroke: soft, grid: { show: false }, ticks: { stroke: line }, space: 90, values: (_, at) => at.map(clock) },
          { stroke: soft, grid: { stroke: line }, ticks: { show: false }, size: 74, values: (_, at) => at.map(words) },
        ],
      },
      data,
      element,
    );
    return { chart, data };
  }

  fit() {
    for (const element of this.chartTargets) {
      const { chart } = this.plots.get(element.dataset.kind);
      if (element.clientWidth && element.clientWidth !== chart.width) {
        chart.setSize({ width: element.clientWidth, height: HEIGHT });
      }
    }
  }

  tell(text, state) {
    this.stateTarget.textContent = text;
    this.stateTarget.dataset.state = state;
  }
}
