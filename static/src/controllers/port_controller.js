// A link to a published port: on the host by which the page itself was reached, or on the port's own address.
//
//   <a data-controller="port" data-port-number-value="8080" data-port-address-value="0.0.0.0">

import { Controller } from "@hotwired/stimulus";

const EVERY = ["", "0.0.0.0", "::"];

export default class extends Controller {
  static values = { number: Number, address: String };

  connect() {
    const address = this.addressValue;
    const own = address.includes(":") ? `[${address}]` : address;
    const host = EVERY.includes(address) ? window.location.hostname : own;
    const scheme = this.numberValue === 443 || this.numberValue === 8443 ? "https" : "http";
    this.element.href = `${scheme}://${host}:${this.numberValue}/`;
  }
}
