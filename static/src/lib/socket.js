// A websocket that comes back by itself: 0.5 s, doubling to 15 s, with jitter; close() ends it for good.

const FIRST = 500;
const LONGEST = 15_000;

export class LiveSocket {
  /**
   * @param {string} path of the same site, or a function that gives it at each attempt
   * @param {{open?: Function, message: Function, closed?: Function, binary?: boolean}} on
   */
  constructor(path, on) {
    this.path = path;
    this.on = on;
    this.delay = FIRST;
    this.connect();
  }

  connect() {
    const path = typeof this.path === "function" ? this.path() : this.path;
    const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${window.location.host}${path}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.delay = FIRST;
      this.on.open?.();
    });
    socket.addEventListener("message", (event) => this.on.message(event.data));
    socket.addEventListener("close", (event) => {
      if (this.socket !== socket) return;
      // 4xxx codes are the server's last word (signed out, not allowed, gone): trying again would not help.
      const final = this.ended || (event.code >= 4000 && event.code < 5000) || event.code === 1000;
      this.on.closed?.({ code: event.code, reason: event.reason, final });
      if (!final) {
        this.timer = setTimeout(() => this.connect(), this.delay * (0.75 + Math.random() / 2));
        this.delay = Math.min(this.delay * 2, LONGEST);
      }
    });
  }

  send(data) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  close() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket.close(1000);
  }
}
