// Dialogs of a page, opened by name; a form in one closes it when the server has taken it.
//
//   <div data-controller="dialog">
//     <button data-action="dialog#open" data-dialog-name-param="signal">
//     <dialog data-dialog-target="dialog" data-name="signal" data-load="/…/"> … <button data-action="dialog#close">
//
// With data-load its content is fetched each time it opens. The browser traps the focus, and gives it back.

import { Controller } from "@hotwired/stimulus";
import htmx from "htmx.org";

export default class extends Controller {
  static targets = ["dialog"];

  connect() {
    this.done = ({ detail: { elt, target, successful } }) => {
      // A form, and not what it has brought: a job in a dialog asks again and again how far it is.
      const dialog = elt.matches("form") && elt.closest("dialog");
      // What is shown in the dialog itself, such as a job or a mistake, is to be read there.
      if (dialog && successful && !dialog.contains(target) && this.dialogTargets.includes(dialog)) dialog.close();
    };
    this.element.addEventListener("htmx:afterRequest", this.done);
  }

  disconnect() {
    this.element.removeEventListener("htmx:afterRequest", this.done);
  }

  open(event) {
    const { params, currentTarget } = event;
    const dialog = this.dialogTargets.find((each) => each.dataset.name === params.name);
    currentTarget.closest("details")?.removeAttribute("open");
    if (dialog.dataset.load) htmx.ajax("GET", dialog.dataset.load, { source: dialog, target: dialog, event, swap: "innerHTML" });
    dialog.showModal();
  }

  close(event) {
    event.currentTarget.closest("dialog").close();
  }
}
