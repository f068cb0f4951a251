// The lines of a log viewer, apart from any page: bounded memory, search, and the chunks that a window shows.

export const CHUNK = 200;
const CHUNK_TEXT = 1 << 18; // characters after which a chunk is full, however few its lines
// Characters of one row: a page draws the whole row anew with each piece that comes. What is longer goes on in further
// rows, which say so; whatever looks for words or copies them takes them as one line.
const LONGEST = 1 << 18;
const OVERLAP = 1 << 10; // characters of the row before that such a row knows: a search finds what is cut between them
const SLICE = 20_000;

export class LogStore {
  /**
   * Older lines are dropped by whole chunks.
   * @param {number} limit how many lines are kept
   * @param {number} room how many characters
   */
  constructor(limit = 1_000_000, room = 1 << 28) {
    this.limit = limit;
    this.room = room;
    this.clear();
  }

  clear() {
    // {number, lines: [{time, stream, text, before}], characters, grown: the first line to draw anew}, where `before` is
    // the end of the row that a row goes on with, null for one that begins a line
    this.chunks = [];
    this.unended = new Map(); // stream -> {chunk, index} of the line that goes on with what comes next
    this.cut = new Map(); // stream -> the end of a row that is full, whose line goes on in the next one
    this.size = 0;
    this.characters = 0;
    this.dropped = 0;
    this.next = 0;
  }

  /**
   * Append lines, and the rest of those that came without their ends; returns the chunks that changed, those that were
   * dropped, and how many lines have begun.
   * @param {Array<{time: string, stream: number, text: string, more: boolean}>} lines where `more` says that the next
   *   of the same stream goes on with this one
   */
  append(lines) {
    const touched = new Set();
    let fresh = 0;
    for (const line of lines) {
      if (!this.unended.has(line.stream) && !this.cut.has(line.stream)) fresh += 1;
      const { chunk, index } = this.unended.get(line.stream) ?? this.begin(line);
      chunk.grown = Math.min(chunk.grown, index);
      chunk.lines[index].text += line.text;
      chunk.characters += line.text.length;
      this.characters += line.text.length;
      touched.add(chunk);
      const { text } = chunk.lines[index];
      this.unended.delete(line.stream);
      if (line.more && text.length < LONGEST) this.unended.set(line.stream, { chunk, index });
      else if (line.more) this.cut.set(line.stream, text.slice(-OVERLAP));
    }
    const gone = [];
    while ((this.size > this.limit || this.characters > this.room) && this.chunks.length > 1) {
      const chunk = this.chunks.shift();
      this.size -= chunk.lines.length;
      this.characters -= chunk.characters;
      this.dropped += chunk.lines.length;
      touched.delete(chunk);
      gone.push(chunk);
    }
    for (const [stream, { chunk }] of this.unended) if (gone.includes(chunk)) this.unended.delete(stream);
    return { touched: [...touched], gone, fresh };
  }

  /** The place of a new, empty row. */
  begin({ time, stream }) {
    let chunk = this.chunks[this.chunks.length - 1];
    if (!chunk || chunk.lines.length >= CHUNK || chunk.characters >= CHUNK_TEXT) {
      chunk = { number: this.next++, lines: [], characters: 0, grown: 0 };
      this.chunks.push(chunk);
    }
    this.size += 1;
    const before = this.cut.get(stream) ?? null;
    this.cut.delete(stream);
    return { chunk, index: chunk.lines.push({ time, stream, text: "", before }) - 1 };
  }

  /** Where the first line is that may still change or come: what `scan` begins with to look only at those. */
  end() {
    const last = this.chunks[this.chunks.length - 1];
    let first = last ? { number: last.number, index: last.lines.length } : { number: 0, index: 0 };
    for (const { chunk, index } of this.unended.values()) {
      const place = { number: chunk.number, index };
      if (isBefore(place, first)) first = place;
    }
    return first;
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
        const line = this.words(lines[index], text.length);
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

  /** What a row says, after as much of the row before as a match of that length may begin in. */
  words({ text, before }, length) {
    return before && length > 1 ? plain(before).slice(1 - length) + plain(text) : plain(text);
  }
}

/** Whether the place {number, index} of a line is before another. */
export function isBefore(place, other) {
  return place.number < other.number || (place.number === other.number && place.index < other.index);
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
