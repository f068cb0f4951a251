// Rows of a Django formset: add and take away without a round trip.
//
//   <fieldset data-controller="rows" data-rows-prefix-value="ports">
//     (the management form)
//     <div data-rows-target="list"> <div data-rows-target="row">…</div> </div>
//     <template data-rows-target="blank">…__prefix__…</template>
//     <button type="button" data-action="rows#add">Add a port</button>
//   </fieldset>
//
// A row that is taken away is emptied and hidden, not renumbered: Django leaves empty rows out.

import { Controller } from "@hotwired/stimulus";

export default class extends Controller {
  static targets = ["list", "row", "blank"];
  static values = { prefix: String };

  add() {
    const total = this.element.querySelector(`[name="${this.prefixValue}-TOTAL_FORMS"]`);
    const holder = document.createElement("template");
    holder.innerHTML = this.blankTarget.innerHTML.replaceAll("__prefix__", total.value);
    total.value = Number(total.value) + 1;
    const row = holder.content.firstElementChild;
    this.listTarget.append(row);
    row.querySelector("input, select, textarea")?.focus();
    return row;
  }

  remove(event) {
    const row = event.currentTarget.closest('[data-rows-target="row"]');
    for (const field of row.querySelectorAll("input, select, textarea")) {
      if (field.type === "checkbox") field.checked = false;
      else if (field.tagName !== "SELECT") field.value = "";
    }
    row.hidden = true;
    row.querySelector("input")?.dispatchEvent(new Event("input", { bubbles: true }));
    this.element.querySelector('[data-action="rows#add"]')?.focus();
  }

  /** Pasting lines of NAME=value into a name fills a row for each. */
  paste(event) {
    const text = event.clipboardData.getData("text");
    if (!/^[^\s=]+=/.test(text)) return;
    event.preventDefault();
    let row = event.currentTarget.closest('[data-rows-target="row"]');
    for (const line of text.split(/\r?\n/)) {
      const match = /^\s*(?:export\s+)?([^\s=#]+)=(.*)$/.exec(line);
      if (!match) continue;
      row ??= this.add();
      const [name, value] = row.querySelectorAll("input, textarea");
      name.value = match[1];
      value.value = match[2].replace(/^(["'])(.*)\1$/, "$2");
      row = null;
    }
  }
}
