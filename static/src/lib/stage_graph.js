// Where the stages of a build stand in a drawing: a column to the right of every stage that one waits for.

const WIDTH = 168;
const HEIGHT = 52;
const ACROSS = 56;
const DOWN = 18;

/** The stages of `steps`, in order: {stage, name, needs: [stage], state, seconds}. */
export function stagesOf(steps, now) {
  const byNumber = new Map(steps.map((step) => [step.number, step]));
  const stages = new Map();
  for (const step of steps) {
    if (step.stage < 0) continue;
    if (!stages.has(step.stage)) {
      stages.set(step.stage, { stage: step.stage, name: step.stage_name, needs: new Set(), steps: [] });
    }
    const found = stages.get(step.stage);
    found.steps.push(step);
    for (const number of step.needs) {
      const other = byNumber.get(number)?.stage;
      if (other !== undefined && other >= 0 && other !== step.stage) found.needs.add(other);
    }
  }
  return [...stages.values()].map((each) => ({
    stage: each.stage,
    name: each.name,
    needs: [...each.needs],
    state: stateOf(each.steps),
    seconds: secondsOf(each.steps, now),
    steps: each.steps.length,
  }));
}

function stateOf(steps) {
  const states = steps.map((step) => step.state);
  if (states.includes("failed")) return "failed";
  if (states.every((state) => state === "cached")) return "cached";
  if (states.every((state) => state === "done" || state === "cached")) return "done";
  return states.every((state) => state === "waiting") ? "waiting" : "running";
}

function secondsOf(steps, now) {
  const begun = steps.map((step) => step.started).filter(Boolean);
  if (begun.length === 0) return 0;
  const through = steps.every((step) => step.ended);
  const end = through ? Math.max(...steps.map((step) => step.ended)) : now;
  return Math.max(0, end - Math.min(...begun));
}

/** Boxes and lines: {width, height, boxes: [{...stage, x, y}], lines: [{from: [x, y], to: [x, y]}]}. */
export function layout(stages) {
  const column = new Map();
  const depth = (stage) => {
    if (!column.has(stage.stage)) {
      column.set(stage.stage, 0); // whoever asks in a circle, which no engine tells of, comes to an end
      const before = stages.filter((each) => stage.needs.includes(each.stage)).map(depth);
      column.set(stage.stage, before.length ? Math.max(...before) + 1 : 0);
    }
    return column.get(stage.stage);
  };
  const rows = [];
  const boxes = stages.map((stage) => {
    const at = depth(stage);
    rows[at] = (rows[at] ?? -1) + 1;
    return { ...stage, x: at * (WIDTH + ACROSS), y: rows[at] * (HEIGHT + DOWN), width: WIDTH, height: HEIGHT };
  });
  const lines = boxes.flatMap((box) =>
    boxes
      .filter((other) => box.needs.includes(other.stage))
      .map((other) => ({ from: [other.x + WIDTH, other.y + HEIGHT / 2], to: [box.x, box.y + HEIGHT / 2] })),
  );
  const width = Math.max(0, ...boxes.map((box) => box.x + WIDTH));
  const height = Math.max(0, ...boxes.map((box) => box.y + HEIGHT));
  return { width, height, boxes, lines };
}
