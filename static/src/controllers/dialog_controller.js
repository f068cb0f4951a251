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
    this.done = (event) => {
      const dialog = event.target.closest?.("dialog");
      // What is shown in the dialog itself, such as a job or a mistake, is to be read there.
      const inside = dialog?.contains(event.detail.target);
      if (dialog && event.detail.successful && !inside && this.dialogTargets.includes(dialog)) dialog.close();
    };
    this.element.addEventListener("htmx:afterRequest", this.done);
  }

  disconnect() {
    this.element.removeEventListener("htmx:afterRequest", this.done);
  }

  open({ params, currentTarget }) {
    const dialog = this.dialogTargets.find((each) => each.dataset.name === params.name);
    currentTarget.closest("details")?.removeAttribute("open");
    if (dialog.dataset.load) htmx.ajax("GET", dialog.dataset.load, { target: dialog, swap: "innerHTML" });
    dialog.showModal();
  }

  close(event) {
    event.currentTarget.closest("dialog").close();
  }
}
