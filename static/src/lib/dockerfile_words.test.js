import assert from "node:assert/strict";
import test from "node:test";

import { beginning, completions, stages } from "./dockerfile_words.js";

const labels = (text, before) => completions(text, before).map((each) => each.label);

test("a line begins with an instruction", () => {
  assert.ok(labels("", "").includes("FROM"));
  assert.ok(labels("", "  ").includes("HEALTHCHECK"));
});

test("stages are named by AS, in any case", () => {
  assert.deepEqual(stages("FROM debian AS build\nfrom alpine as Small\nFROM scratch"), ["build", "Small"]);
});

test("COPY --from= takes a stage, FROM a stage or scratch", () => {
  const text = "FROM debian AS build\n";
  assert.deepEqual(labels(text, "COPY --from="), ["build"]);
  assert.deepEqual(labels(text, "FROM "), ["build", "scratch"]);
});

test("ARG and ENV name variables, which follow a dollar", () => {
  const text = "ARG VERSION=1\nFROM debian\nENV APP=/app PORT 80\nenv VERSION=2\n";
  assert.deepEqual(labels(text, "RUN echo $"), ["VERSION", "APP"]);
  assert.deepEqual(labels(text, "COPY a ${"), ["VERSION", "APP"]);
});

test("the word to complete begins behind from= and a dollar", () => {
  for (const [line, word] of [
    ["COPY --from=bu", "bu"],
    ["COPY --from=", ""],
    ["COPY --fr", "--fr"],
    ["RUN --mount=type=bind,from=b", "b"],
    ["ENV A=${VER", "VER"],
    ["RUN echo $V", "V"],
    ["FR", "FR"],
    ["FROM ", ""],
  ]) {
    assert.equal(line.slice(beginning(line)), word, line);
  }
});

test("flags come before everything else", () => {
  assert.ok(labels("", "RUN ").includes("--network=none"));
  assert.deepEqual(labels("", "RUN apt "), []);
  assert.deepEqual(labels("", "MAINTAINER "), []);
});
