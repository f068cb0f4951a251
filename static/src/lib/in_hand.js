// What a person has in hand stays there when the page renews itself: one rule for every fragment that comes unasked.
//
// Such a fragment waits while a menu or a dialog is open in what it would replace, a field there has the focus, or the
// mouse is held down on it; when that has ended, it is fetched anew (unless somebody prevents "in-hand:let-go", which is
// dispatched on what would be replaced). Whatever is replaced keeps the focus, what is unfolded, and how far it is
// scrolled.

import htmx from "htmx.org";

const OPEN = 'details[data-controller~="menu"][open], dialog[open]';
const FIELD = "input:not([type=checkbox], [type=radio]), select, textarea";
const FOCUSABLE = "a[href], button, input:not([type=hidden]), summary";
const SCROLLED = "ul, ol, pre, .table-responsive";
const MARKS = ["data-key", "name", "value", "href", "aria-label"]; // what tells a button from its neighbours

const waiting = new Map(); // what would be replaced -> the request that does it
let pressed = null; // where the mouse is held down

export function keepWhatIsInHand() {
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { target, requestConfig, swapOverride } = detail;
    const unasked = requestConfig.verb === "get" && !requestConfig.triggeringEvent?.isTrusted;
    if (unasked && inHand(target)) {
      detail.shouldSwap = false;
      const { elt: source, path } = requestConfig;
      waiting.set(target, { path: source.getAttribute("hx-get") ?? path, source, swap: swapOverride });
      return;
    }
    const restore = remembered(target);
    queueMicrotask(restore); // htmx swaps in the same turn
  });
  document.addEventListener("pointerdown", (event) => (pressed = event.target), true);
  for (const name of ["pointerup", "pointercancel", "toggle", "close", "focusout"]) {
    document.addEventListener(name, (event) => ended(event.type), true);
  }
}

function inHand(target) {
  const active = document.activeElement;
  if (target.querySelector(OPEN) || (pressed && target.contains(pressed))) return true;
  return target !== active && target.contains(active) && active.matches(FIELD);
}

function ended(type) {
  if (type.startsWith("pointer")) pressed = null;
  // Afterwards: the click that this may be comes first, and the focus is on its way.
  setTimeout(() => {
    for (const [target, { path, source, swap }] of waiting) {
      if (target.isConnected && inHand(target)) continue;
      waiting.delete(target);
      const letGo = new CustomEvent("in-hand:let-go", { bubbles: true, cancelable: true });
      if (target.isConnected && target.dispatchEvent(letGo)) htmx.ajax("GET", path, { source, target, swap });
    }
  });
}

/** What is to be done after the swap, so that a person finds what was there. */
function remembered(target) {
  const active = target.contains(document.activeElement) ? document.activeElement : null;
  const home = active?.parentElement.closest("[id]");
  const unfolded = [...target.querySelectorAll("details[open]")].map(title);
  const scrolled = [...target.querySelectorAll(SCROLLED)].map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
  return () => {
    const now = target.isConnected ? target : document.getElementById(target.id);
    if (!now) return;
    for (const details of now.querySelectorAll("details")) if (unfolded.includes(title(details))) details.open = true;
    now.querySelectorAll(SCROLLED).forEach((each, at) => {
      if (scrolled[at]?.some(Boolean)) each.scrollTo(...scrolled[at]);
    });
    if (home && !active.isConnected && document.activeElement === document.body) {
      successor(active, document.getElementById(home.id))?.focus({ preventScroll: true });
    }
  };
}

const title = (details) => details.querySelector("summary")?.textContent.trim();

/** The same button in what is there now; what its key does now, such as Stop after Start; or else its neighbour. */
function successor(lost, home) {
  const all = [...(home?.querySelectorAll(FOCUSABLE) ?? [])];
  const alike = (marks) => (each) =>
    each.tagName === lost.tagName && marks.every((mark) => each.getAttribute(mark) === lost.getAttribute(mark));
  return all.find(alike(MARKS)) ?? (lost.dataset.key && all.find(alike(["data-key"]))) ?? all[0];
}
