import assert from "node:assert/strict";
import { test } from "node:test";
import { content, interp } from "../src/backend/decode.ts";
import { above, quantile, show } from "../src/math/numbers.ts";
import { linear, nearest, norm, separation, spherical, walk } from "../src/math/space.ts";

test("numbers are told as people read them", () => {
  assert.equal(show(1234567), "1,234,567");
  assert.equal(show(-0.5), "−0.5");
  assert.equal(show(0.000012345), "1.23 × 10⁻⁵");
  assert.equal(show(null), "—");
  assert.equal(show(0.000012345, 1), "1 × 10⁻⁵");
});

test("quantiles and counts above a threshold", () => {
  assert.equal(quantile([0, 1, 2, 3], 0.5), 1.5);
  assert.equal(above([1, 2, 2, 3], 2), 1);
  assert.equal(above([1, 2, 2, 3], 0), 4);
});

test("walks go from one code to the other, along the sphere with equal length", () => {
  const steps = walk([1, 0], [0, 1], 5, "spherical");
  assert.deepEqual(steps[0], [1, 0]);
  for (const step of steps) assert.ok(Math.abs(norm(step) - 1) < 1e-12);
  assert.deepEqual(linear([0, 0], [2, 4], 0.5), [1, 2]);
  assert.deepEqual(spherical([1, 1], [2, 2], 0.5), [1.5, 1.5]);
});

test("neighbours are the nearest, in order, without the point itself", () => {
  const found = nearest(Float32Array.from([0, 0, 3, 0, 1, 0, -2, 0]), 2, 0, 2);
  assert.deepEqual(found, [
    { index: 2, distance: 1 },
    { index: 3, distance: 2 },
  ]);
});

test("groups lie as many deviations apart as their spread along the line tells", () => {
  assert.equal(separation(Float32Array.from([-1, 1, 9, 11]), 1, [0, 1], [2, 3]), 10);
  assert.equal(separation(Float32Array.from([2, 2]), 1, [0], [1]), null);
});

test("a decoder's row becomes a card of columns", () => {
  assert.equal(interp(0.5, { x: [0, 1, 2], y: [0, 10, 12] }), 5);
  assert.equal(interp(9, { x: [0, 1], y: [0, 10] }), 10);
  const columns = [
    {
      name: "size",
      kind: "number",
      start: 0,
      width: 1,
      how: "interp" as const,
      levels: null,
      knots: { x: [-1, 1], y: [0, 100] },
      decimals: 1,
    },
    { name: "town", kind: "category", start: 1, width: 2, how: "argmax" as const, levels: ["Ulm", "Bonn"], knots: null },
    { name: "member", kind: "boolean", start: 3, width: 1, how: "threshold" as const, levels: ["false", "true"], knots: null },
    {
      name: "since",
      kind: "date",
      start: 4,
      width: 1,
      how: "interp" as const,
      levels: null,
      knots: { x: [0, 1], y: [0, 86400] },
      whole: true,
    },
  ];
  const card = content(Float32Array.from([0, 0.2, 0.8, 0.4, 1]), { kind: "table", columns }, []);
  assert.ok(card.kind === "table");
  assert.deepEqual(
    card.cells.map((cell) => cell.text),
    ["50", "Bonn", "false", "1970-01-02"],
  );
});
