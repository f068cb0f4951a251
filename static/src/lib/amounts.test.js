import assert from "node:assert/strict";
import { test } from "node:test";

import { rate, share, size } from "./amounts.js";

test("sizes", () => {
  assert.equal(size(0), "0 B");
  assert.equal(size(999), "999 B");
  assert.equal(size(1000), "1.0 kB");
  assert.equal(size(12_345_678), "12 MB");
  assert.equal(size(999_999), "1.0 MB");
});

test("shares", () => {
  assert.equal(share(0.0253), "2.5 %");
  assert.equal(share(2), "200 %");
});

test("rates", () => {
  const before = { at: 1000, sent: 500 };
  assert.equal(rate({ at: 3000, sent: 2500 }, before, "sent"), 1000);
  assert.equal(rate({ at: 2000, sent: 10 }, before, "sent"), 0);
  assert.equal(rate({ at: 2000, sent: 10 }, null, "sent"), null);
  assert.equal(rate({ at: 1000, sent: 900 }, before, "sent"), null);
});
