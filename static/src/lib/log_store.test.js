import assert from "node:assert/strict";
import { test } from "node:test";

import { CHUNK, LogStore, isBefore, plain, split } from "./log_store.js";

const search = (store, text, from) => [...store.scan(text, from)].flat();

const lines = (count, text = "line") =>
  Array.from({ length: count }, (_, index) => ({ time: String(index), stream: 1, text: `${text} ${index}` }));

test("lines fill chunks, and only those that changed are told", () => {
  const store = new LogStore();
  assert.equal(store.append(lines(CHUNK + 1)).touched.length, 2);
  const { touched, gone } = store.append(lines(1));
  assert.deepEqual([touched.length, gone.length, store.size], [1, 0, CHUNK + 2]);
});

test("the oldest chunks go when there are too many lines", () => {
  const store = new LogStore(CHUNK * 2);
  const { gone } = store.append(lines(CHUNK * 5));
  assert.equal(gone.length, 3);
  assert.equal(store.size, CHUNK * 2);
  assert.equal(store.dropped, CHUNK * 3);
  assert.equal(store.chunks[0].lines[0].text, `line ${CHUNK * 3}`);
});

const piece = (text, more, stream = 1) => ({ time: "", stream, text, more });

test("a line that comes in pieces is one, whatever the other stream says between", () => {
  const store = new LogStore();
  assert.equal(store.append([piece("a", true), piece("err", false, 2), piece("b", true)]).fresh, 2);
  store.chunks[0].grown = 2; // as a page does that has drawn them
  const { touched, fresh } = store.append([piece("c", false), piece("d", false)]);
  assert.deepEqual([touched.length, fresh, touched[0].grown], [1, 1, 0]);
  assert.deepEqual(
    store.chunks[0].lines.map(({ text }) => text),
    ["abc", "err", "d"],
  );
});

test("a line without an end neither grows for ever nor goes on where it has been dropped", () => {
  const store = new LogStore();
  const part = "x".repeat(1 << 14);
  for (let each = 0; each < 34; each++) store.append([piece(part, true)]);
  assert.deepEqual(
    store.chunks.flatMap(({ lines }) => lines.map(({ text }) => text.length)),
    [1 << 18, 1 << 18, 2 << 14],
  );
  const small = new LogStore(1_000_000, 1 << 19);
  for (let each = 0; each < 100; each++) small.append([piece(part, false)]);
  assert.ok(small.characters <= (1 << 19) + (1 << 18));
  assert.ok(small.dropped > 50);
  small.append([piece("begun", true, 2), ...Array.from({ length: 100 }, () => piece(part, false)), piece("rest", false, 2)]);
  assert.equal(small.chunks.at(-1).lines.at(-1).text, part);
  small.append([piece("later", false, 2)]);
  assert.equal(small.chunks.at(-1).lines.at(-1).text, "later");
});

test("a line that is longer than a row goes on in others, and is found where it is cut", () => {
  const store = new LogStore();
  const part = "x".repeat((1 << 14) - 2);
  const pieces = Array.from({ length: 16 }, () => piece(`${part}ab`, true));
  assert.equal(store.append([...pieces, piece("err", false, 2), piece("cd", false), piece("next", false)]).fresh, 3);
  const rows = store.chunks.flatMap(({ lines }) => lines);
  assert.deepEqual(
    rows.map(({ text, before }) => [text.slice(-4), before !== null]),
    [["xxab", false], ["err", false], ["cd", true], ["next", false]],
  );
  assert.equal(rows[2].before.length, 1 << 10);
  const found = (text) => search(store, text).map(({ chunk, index }) => chunk.lines[index].text.slice(-4));
  assert.deepEqual([found("abcd"), found("bc"), found("cd"), found("xab"), found("abnext")], [["cd"], ["cd"], ["cd"], ["xxab"], []]);
});

test("a line that has grown is searched again", () => {
  const store = new LogStore();
  store.append([piece("one", false), piece("two th", true)]);
  const place = store.end();
  assert.deepEqual(place, { number: 0, index: 1 });
  store.append([piece("ree", false)]);
  assert.deepEqual(
    search(store, "three", place).map(({ index }) => index),
    [1],
  );
  assert.ok(isBefore({ number: 0, index: 9 }, { number: 1, index: 0 }) && !isBefore(place, place));
});

test("search ignores case unless it is given, and colours", () => {
  const store = new LogStore();
  store.append([{ time: "", stream: 1, text: "\x1b[31mEr\x1b[0mror here" }, { time: "", stream: 2, text: "error there" }]);
  assert.equal(search(store, "error").length, 2);
  assert.equal(search(store, "Error").length, 1);
  assert.equal(search(store, "").length, 0);
});

test("what came later is searched alone, and a long search comes in parts", () => {
  const store = new LogStore();
  store.append(lines(CHUNK + 10));
  const before = store.end();
  store.append(lines(CHUNK * 2, "later"));
  assert.equal(search(store, "line", before).length, 0);
  assert.equal(search(store, "later", before).length, CHUNK * 2);
  assert.equal(search(store, "line").length, CHUNK + 10);
  store.append(lines(50_000));
  assert.ok([...store.scan("line")].length > 2);
});

test("escape sequences go, text stays", () => {
  assert.equal(plain("\x1b]0;title\x07a\x1b[1;31mb\x1b[0mc\x1b(B"), "abc");
  assert.equal(plain("<b>&amp;</b>"), "<b>&amp;</b>");
});

test("a line is cut at its matches", () => {
  assert.deepEqual(split("aXbxc", "x"), [
    { text: "a", match: false },
    { text: "X", match: true },
    { text: "b", match: false },
    { text: "x", match: true },
    { text: "c", match: false },
  ]);
  assert.deepEqual(split("abc", ""), [{ text: "abc", match: false }]);
});

test("a million lines are taken in well under the time of a frame each", () => {
  const store = new LogStore();
  for (let batch = 0; batch < 2000; batch++) store.append(lines(500));
  assert.equal(store.size, 1_000_000);
  assert.equal(search(store, "line 499").length, 2000);
});
