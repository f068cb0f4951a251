// Turns the text area of a Dockerfile into an editor, and shows what the build checks say of it while one types.
//
//   <div data-controller="dockerfile" data-dockerfile-check-value="/…/check/" data-dockerfile-nonce-value="…">
//     <textarea data-dockerfile-target="text"></textarea> <div data-dockerfile-target="editor"></div>
//     <ul data-dockerfile-target="marks"></ul>
//   </div>
//
// Without the editor's script the text area stays as it is, and the form works all the same.

import { Controller } from "@hotwired/stimulus";

import { element } from "../lib/elements.js";

export default class extends Controller {
  static targets = ["text", "editor", "marks"];
  static values = { check: String, nonce: String, well: String, unsupported: String, away: String };

  connect() {
    if (window.HavreEditor) this.open();
    else document.addEventListener("DOMContentLoaded", () => this.open(), { once: true });
  }

  disconnect() {
    this.editor?.destroy();
    this.textTarget.hidden = false;
  }

  open() {
    if (!window.HavreEditor || this.editor) return;
    this.editor = window.HavreEditor.create({
      parent: this.editorTarget,
      doc: this.textTarget.value,
      nonce: this.nonceValue,
      label: document.getElementById(this.textTarget.getAttribute("aria-labelledby"))?.textContent ?? "",
      check: (text, doc) => this.check(text, doc),
      changed: (text) => {
        this.textTarget.value = text;
      },
    });
    this.textTarget.hidden = true;
    this.editor.lint();
  }

  /** Ask the checks; what they found, as the editor takes it. */
  async check(text, doc) {
    let found;
    try {
      const body = new FormData();
      body.set("dockerfile", text);
      const headers = JSON.parse(document.body.getAttribute("hx-headers"));
      const answer = await fetch(this.checkValue, { method: "POST", body, headers });
      if (!answer.ok) throw new Error(answer.statusText);
      found = await answer.json();
    } catch {
      this.say(this.awayValue);
      return [];
    }
    const marks = found.marks.map((mark) => ({ ...mark, ...span(doc, mark) }));
    this.show(marks, found.supported ? this.wellValue : this.unsupportedValue, doc);
    return marks.map((mark) => ({
      from: mark.from,
      to: mark.to,
      severity: mark.severity,
      source: mark.rule,
      message: mark.message,
      actions: mark.fix ? [{ name: mark.fix, apply: () => this.editor.apply(edits(doc, mark)) }] : [],
    }));
  }

  show(marks, nothing, doc) {
    if (marks.length === 0) {
      this.say(nothing);
      return;
    }
    this.marksTarget.replaceChildren(
      ...marks.map((mark) => {
        const row = document.createElement("li");
        row.className = `lint-${mark.severity}`;
        const place = button(`${mark.line}`, "lint-line", () => this.editor.go(mark.from));
        row.append(place, element("strong", mark.rule), element("span", mark.message));
        if (mark.fix) {
          row.append(button(mark.fix, "btn btn-sm", () => this.editor.apply(edits(doc, mark))));
        }
        if (mark.explanation) row.append(element("small", mark.explanation));
        return row;
      }),
    );
  }

  say(words) {
    this.marksTarget.replaceChildren(element("li", words));
  }
}

/** Where in the document a mark is: lines and columns of the checks are counted from 1. */
function span(doc, mark) {
  const from = place(doc, mark.line, mark.column);
  return { from, to: Math.min(doc.length, from + Math.max(1, mark.length)) };
}

function place(doc, number, column) {
  const line = doc.line(Math.min(Math.max(1, number), doc.lines));
  return Math.min(line.to, line.from + Math.max(0, column - 1));
}

function edits(doc, mark) {
  return mark.edits.map(([line, column, endLine, endColumn, insert]) => ({
    from: place(doc, line, column),
    to: place(doc, endLine, endColumn),
    insert,
  }));
}

function button(words, classes, action) {
  const made = element("button", words, classes);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}
