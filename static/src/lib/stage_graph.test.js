import assert from "node:assert/strict";
import test from "node:test";

import { layout, stagesOf } from "./stage_graph.js";

const step = (number, stage, needs, state = "done", started = 10, ended = 12) => ({
  number,
  stage,
  stage_name: `s${stage}`,
  needs,
  state,
  started,
  ended,
});

test("a stage waits for those whose steps its own need", () => {
  const stages = stagesOf([step(1, 0, []), step(2, 0, [1]), step(3, 1, []), step(4, 1, [3, 2])], 20);
  assert.deepEqual(
    stages.map(({ stage, needs, seconds }) => ({ stage, needs, seconds })),
    [
      { stage: 0, needs: [], seconds: 2 },
      { stage: 1, needs: [0], seconds: 2 },
    ],
  );
});

test("a stage is what its steps are", () => {
  const state = (...states) => stagesOf(states.map((each, index) => step(index + 1, 0, [], each)), 20)[0].state;
  assert.equal(state("cached", "cached"), "cached");
  assert.equal(state("cached", "done"), "done");
  assert.equal(state("done", "waiting"), "running");
  assert.equal(state("done", "failed"), "failed");
  assert.equal(state("waiting", "waiting"), "waiting");
});

test("an argument before the first stage belongs to none", () => {
  assert.equal(stagesOf([step(1, -1, []), step(2, 0, [1])], 20).length, 1);
});

test("independent stages stand below one another, the one that needs both to their right", () => {
  const { boxes, lines } = layout([
    { stage: 0, needs: [] },
    { stage: 1, needs: [] },
    { stage: 2, needs: [0, 1] },
  ]);
  assert.equal(boxes[0].x, boxes[1].x);
  assert.notEqual(boxes[0].y, boxes[1].y);
  assert.ok(boxes[2].x > boxes[0].x);
  assert.equal(lines.length, 2);
});
