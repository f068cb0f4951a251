// The lines of a log viewer, apart from any page: bounded memory, search, and the chunks that a window shows.

export const CHUNK = 200;

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

  /**
   * Every line that contains the text, in order, as {chunk, index}; at most *most* of them.
   * Without capital letters in the text, case does not matter.
   */
  search(text, most = 10_000) {
    const found = [];
    if (!text) return found;
    const sensitive = text !== text.toLowerCase();
    for (const chunk of this.chunks) {
      for (let index = 0; index < chunk.lines.length; index++) {
        const line = plain(chunk.lines[index].text);
        if ((sensitive ? line : line.toLowerCase()).includes(text)) {
          found.push({ chunk, index });
          if (found.length >= most) return found;
        }
      }
    }
    return found;
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
