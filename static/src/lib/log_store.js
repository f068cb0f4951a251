// The lines of a log viewer, apart from any page: bounded memory, search, and the chunks that a window shows.

export const CHUNK = 200;
const SLICE = 20_000;

export class LogStore {
  /** @param {number} limit how many lines are kept; older ones are dropped by whole chunks. */
  constructor(limit = 1_000_000) {
    this.limit = limit;
    this.clear();
  }

  clear() {
    this.chunks = []; // {number, lines: [{time, stream, text}]}
    this.size = 0;
    this.dropped = 0;
    this.next = 0;
  }

  /**
   * Append lines; returns the chunks that changed and those that were dropped.
   * @param {Array<{time: string, stream: number, text: string}>} lines
   */
  append(lines) {
    const touched = new Set();
    for (const line of lines) {
      let chunk = this.chunks[this.chunks.length - 1];
      if (!chunk || chunk.lines.length >= CHUNK) {
        chunk = { number: this.next++, lines: [] };
        this.chunks.push(chunk);
      }
      chunk.lines.push(line);
      touched.add(chunk);
    }
    this.size += lines.length;
    const gone = [];
    while (this.size > this.limit && this.chunks.length > 1) {
      const chunk = this.chunks.shift();
      this.size -= chunk.lines.length;
      this.dropped += chunk.lines.length;
      touched.delete(chunk);
      gone.push(chunk);
    }
    return { touched: [...touched], gone };
  }

  /** Where the next line will be: what `scan` begins with to look only at what came later. */
  end() {
    const last = this.chunks[this.chunks.length - 1];
    return last ? { number: last.number, index: last.lines.length } : { number: 0, index: 0 };
  }

  /**
   * The lines that contain the text, in order, as arrays of {chunk, index}, one for every SLICE lines that were looked
   * at, so that whoever asks can let the page breathe between. Without capital letters in the text, case does not
   * matter.
   * @param {string} text
   * @param {{number: number, index: number}} from
   */
  *scan(text, from = { number: 0, index: 0 }) {
    if (!text) return;
    const sensitive = text !== text.toLowerCase();
    let found = [];
    let looked = 0;
    // A copy: chunks may come and go while somebody breathes.
    for (const chunk of this.chunks.filter((each) => each.number >= from.number)) {
      const lines = chunk.lines;
      for (let index = chunk.number === from.number ? from.index : 0; index < lines.length; index++) {
        const line = plain(lines[index].text);
        if ((sensitive ? line : line.toLowerCase()).includes(text)) found.push({ chunk, index });
      }
      looked += lines.length;
      if (looked >= SLICE) {
        yield found;
        found = [];
        looked = 0;
      }
    }
    yield found;
  }
}

const ESCAPES = /\x1b(?:\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -\/]+[0-~]|[@-Z\\-_])/g;

/** The text without terminal escape sequences. */
export function plain(text) {
  return text.includes("\x1b") ? text.replace(ESCAPES, "") : text;
}

/**
 * The text cut at the matches of a search: [{text, match}], for showing matches without building HTML from log text.
 */
export function split(text, wanted) {
  if (!wanted) return [{ text, match: false }];
  const sensitive = wanted !== wanted.toLowerCase();
  const haystack = sensitive ? text : text.toLowerCase();
  const parts = [];
  let at = 0;
  for (;;) {
    const hit = haystack.indexOf(wanted, at);
    if (hit < 0) break;
    if (hit > at) parts.push({ text: text.slice(at, hit), match: false });
    parts.push({ text: text.slice(hit, hit + wanted.length), match: true });
    at = hit + wanted.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), match: false });
  return parts;
}
