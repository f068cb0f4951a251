import "@tabler/core/dist/css/tabler.css";
import "@xterm/xterm/css/xterm.css";
import "uplot/dist/uPlot.min.css";
import "./app.css";

import { Application } from "@hotwired/stimulus";
import htmx from "htmx.org";

import controllers from "controllers";

import { keepWhatIsInHand } from "./lib/in_hand.js";

window.htmx = htmx;

const application = Application.start();
for (const [name, controller] of controllers) application.register(name, controller);

// A request that never reached the server must not pass in silence.
document.addEventListener("htmx:sendError", () => {
  const template = document.querySelector("[data-live-bar]");
  if (template) template.hidden = false;
});

// What a fragment could not say in its place, such as an error of the engine, is said where messages stand.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.detail.xhr.status !== 422) {
    event.detail.target = document.getElementById("messages");
    event.detail.swapOverride = "innerHTML";
  }
});

keepWhatIsInHand();

// An action shows at once that it is under way; the row is replaced when the engine says that it happened.
const rowsOf = (element) => {
  const form = element.matches?.("form") ? element : null;
  if (element.closest?.("[data-pending]")) return [element.closest("tr")].filter(Boolean);
  return form ? [...form.querySelectorAll("tr:has([data-selection-target=box]:checked)")] : [];
};
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb === "post") for (const row of rowsOf(event.target)) row.classList.add("pending");
});
document.addEventListener("htmx:afterRequest", (event) => {
  for (const row of rowsOf(event.target)) row.classList.remove("pending");
});

// The button that pulls a missing image names it in its own data, which no quoting in a template can break.
document.addEventListener("htmx:configRequest", (event) => {
  // A fragment of the page's own address is no reason to scroll to the place that the address names.
  event.detail.path = event.detail.path.replace(/#.*/, "");
  const pull = event.target.dataset?.pull;
  if (pull) event.detail.parameters.set("reference", pull);
});

// On a phone the rail is wider than the screen: show where one is.
document.querySelector(".rail nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
