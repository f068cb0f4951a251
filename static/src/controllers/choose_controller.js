// Shows the parts of a form that belong to the chosen radio button, and hides those of the others.
//
//   <form data-controller="choose" data-choose-name-value="driver">
//     <input type="radio" name="driver" value="bridge"> … <section data-choose-for="macvlan ipvlan"> … </section>
//
// Hidden fields keep what was typed and are sent all the same: the server knows which of them count.

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static values = { name: String };

  connect() {
    this.change = ({ target }) => {
      if (target.name === this.nameValue) this.show();
    };
    this.element.addEventListener("change", this.change);
    this.show();
  }

  disconnect() {
    this.element.removeEventListener("change", this.change);
  }

  show() {
    const chosen = this.element.querySelector(`[name="${CSS.escape(this.nameValue)}"]:checked`)?.value;
    for (const part of this.element.querySelectorAll("[data-choose-for]")) {
      part.hidden = !part.dataset.chooseFor.split(" ").includes(chosen);
    }
  }
}
