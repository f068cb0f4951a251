// Where a log stream is, so that one that was cut goes on without a line lost or shown twice.

export class LogPlace {
  constructor() {
    this.last = ""; // the time of the last line that came, as the server wrote it
    this.count = 0; // how many lines came with that very time
    this.known = null;
  }

  /** The stream goes on: it begins with the lines of the last line's own moment, of which some are here already. */
  resumed() {
    this.known = { time: this.last, left: this.count };
  }

  /** Those of the lines that are not here yet; times sort as text. */
  unseen(lines) {
    let fresh = lines;
    if (this.known) {
      const { time } = this.known;
      fresh = lines.filter((line) => line.time > time || (line.time === time && this.known.left-- <= 0));
      if (fresh.length && fresh[fresh.length - 1].time > time) this.known = null;
    }
    for (const { time } of fresh) {
      this.count = time === this.last ? this.count + 1 : 1;
      this.last = time;
    }
    return fresh;
  }
}
