import assert from "node:assert/strict";
import { test } from "node:test";

import { LogPlace } from "./log_place.js";

const lines = (...times) => times.map((time, index) => ({ time, text: `${time} ${index}` }));
const texts = (found) => found.map(({ text }) => text);

test("a first stream is taken whole", () => {
  const place = new LogPlace();
  assert.equal(place.unseen(lines("1", "1", "2")).length, 3);
  assert.equal(place.last, "2");
});

test("a stream that goes on gives no line twice and loses none of the same moment", () => {
  const place = new LogPlace();
  place.unseen(lines("1", "2", "2"));
  place.resumed();
  // The server tells everything from the last moment on: two of these are here, the third is not.
  assert.deepEqual(texts(place.unseen(lines("2", "2", "2", "3"))), ["2 2", "3 3"]);
  assert.equal(place.unseen(lines("3", "4")).length, 2);
});

test("what is here already may come in parts, and twice be cut", () => {
  const place = new LogPlace();
  place.unseen(lines("2", "2", "2"));
  place.resumed();
  assert.equal(place.unseen(lines("2", "2")).length, 0);
  place.resumed();
  assert.equal(place.unseen(lines("2", "2", "2")).length, 0);
  assert.equal(place.unseen(lines("2", "5")).length, 2);
});
