// The editor of Dockerfiles, in a script of its own: the other pages do not carry it. It is found as window.HavreEditor.

import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { forceLinting, lintGutter, lintKeymap, linter } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";

import { beginning, completions } from "./lib/dockerfile_words.js";

/**
 * An editor in `parent` with the text `doc`. `check(text)` resolves to CodeMirror diagnostics; `changed(text)` is called
 * at every change. `nonce` is that of the page's content security policy.
 */
function create({ parent, doc, nonce, label, check, changed }) {
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc,
      extensions: [
        EditorView.cspNonce.of(nonce),
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        closeBrackets(),
        StreamLanguage.define(dockerFile),
        syntaxHighlighting(classHighlighter),
        autocompletion({ override: [complete] }),
        lintGutter(),
        linter((found) => check(found.state.doc.toString(), found.state.doc), { delay: 400 }),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
        keymap.of([...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
      ],
    }),
  });
  return {
    lint: () => forceLinting(view),
    focus: () => view.focus(),
    go: (position) => {
      view.dispatch({ selection: { anchor: position }, scrollIntoView: true });
      view.focus();
    },
    apply: (changes) => view.dispatch({ changes }),
    destroy: () => view.destroy(),
  };
}

function complete(context) {
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  const from = line.from + beginning(before);
  if (from === context.pos && !context.explicit && !/[=${]$/.test(before)) return null;
  const options = completions(context.state.doc.toString(), line.text.slice(0, from - line.from));
  return options.length ? { from, options, validFor: /^[\w=-]*$/ } : null;
}

window.HavreEditor = { create };
