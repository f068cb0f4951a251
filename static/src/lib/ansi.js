// Log lines with terminal colours, as DOM nodes: text only ever becomes text nodes, never HTML.

import Anser from "anser";

import { element } from "./elements.js";
import { plain, split } from "./log_store.js";

/** The nodes that show one line, with what the person searches for in <mark>. */
export function nodes(text, wanted) {
  const fragment = document.createDocumentFragment();
  if (!text.includes("\x1b") || wanted) {
    for (const part of split(plain(text), wanted)) {
      fragment.append(part.match ? element("mark", part.text) : part.text);
    }
    return fragment;
  }
  for (const part of Anser.ansiToJson(text, { use_classes: true, remove_empty: true })) {
    const classes = [part.fg, part.bg && `${part.bg}-bg`, ...(part.decorations || [])].filter(Boolean);
    if (classes.length === 0) {
      fragment.append(plain(part.content));
    } else {
      fragment.append(element("span", plain(part.content), classes.join(" ")));
    }
  }
  return fragment;
}
