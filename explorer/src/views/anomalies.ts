/** The strangest rows, and what a threshold on the score would flag. */

import type { App } from "../app.ts";
import type { Anomalies, AnomalyRow, Reason } from "../backend/types.ts";
import { above, count, extent, finite, percent, quantile, show } from "../math/numbers.ts";
import { histogram } from "../ui/chart.ts";
import { marks } from "../ui/colours.ts";
import { arrows, h, replace, slider } from "../ui/dom.ts";

const LIMIT = 500;
const BINS = 60;

/** A stretch of the score's axis: straight around the bulk, logarithmic in the tail. */
export interface Axis {
  to(score: number): number;
  from(t: number): number;
}

export function axis(sorted: Float32Array): Axis {
  const middle = quantile(sorted, 0.5);
  const width = quantile(sorted, 0.9) - quantile(sorted, 0.1) || Math.abs(middle) || 1;
  const bend = (score: number): number => Math.asinh((score - middle) / width);
  const [low, high] = [bend(sorted[0]), bend(sorted[sorted.length - 1])];
  const span = high - low || 1;
  return { to: (score) => (bend(score) - low) / span, from: (t) => middle + width * Math.sinh(low + t * span) };
}

function bins(values: ArrayLike<number>, scale: Axis): number[] {
  const found = new Array<number>(BINS).fill(0);
  for (let i = 0; i < values.length; i++)
    found[Math.max(0, Math.min(BINS - 1, Math.floor(scale.to(values[i]) * BINS)))] += 1 / values.length;
  return found;
}

/** Where a place on the axis is, under the thumb of a slider of the same width. */
const across = (t: number): string => `calc(9px + ${Math.max(0, Math.min(1, t)).toFixed(4)} * (100% - 18px))`;

/** Share of ordinary rows that a threshold flags, at most: the largest p-value of what it flags, never below what so few scores can tell. */
export const falseAlarms = (healthy: ArrayLike<number>, limit: number): number => (1 + above(healthy, limit)) / (1 + healthy.length);

export function anomaliesView(app: App): HTMLElement {
  const body = h("div", {}, h("p", { class: "empty" }, "Reading the scores …"));
  let loaded = false;
  const load = async (): Promise<void> => {
    loaded = true;
    const found = await app.backend.anomalies(LIMIT);
    if (found.scores.length === 0) return replace(body, h("p", { class: "empty" }, found.note ?? "No scores."));
    replace(body, build(app, found));
  };
  app.on("tab", () => {
    if (app.state.tab === "anomalies" && !loaded)
      load().catch((error: unknown) => {
        loaded = false;
        app.fail(error);
      });
    else if (app.state.tab !== "anomalies") app.paint(null);
  });
  return h("div", { class: "view" }, body);
}

function build(app: App, found: Anomalies): (Node | null)[] {
  const scores = finite(found.scores).sort();
  const healthy = finite(found.healthy).sort();
  const scale = axis(scores);
  const known = found.calibrated ?? found.healthy.length > 0;
  const start = app.about.threshold ?? quantile(healthy, 0.99);
  const t0 = Math.max(0, Math.min(1, scale.to(start)));
  const line = h("i", { class: "threshold-line" });
  const story = h("div", { class: "story" });
  const change = h("p", { class: "change", role: "status" });
  const items = found.rows.map((row) => ({ row, element: item(app, row) }));
  const list = h(
    "div",
    { class: "rows list", "aria-label": "Strangest rows first" },
    items.map((one) => one.element),
  );
  const changed = h("div", { class: "rows grid" });
  arrows(list);
  arrows(changed);

  const paint = (limit: number): void => {
    const flagged = above(scores, limit);
    const rate = falseAlarms(healthy, limit);
    const before = above(scores, start);
    line.style.left = across(scale.to(limit));
    replace(
      story,
      tileOf("Flagged", show(flagged), `${percent(flagged / scores.length)} of ${count(scores.length, "row")}`),
      known
        ? tileOf("False alarms expected", show(Math.round(rate * 10000) / 10, 3), `in 1,000 ordinary rows, at most (${percent(rate)})`)
        : tileOf("False alarms expected", "unknown", "no rows are known to be ordinary"),
    );
    const step = flagged - before;
    change.textContent =
      step === 0
        ? "As it stands: nothing would change."
        : step > 0
          ? `${count(step, "row")} more would be flagged.`
          : `${count(-step, "row")} fewer would be flagged.`;
    for (const { row, element } of items) {
      element.classList.toggle("flagged", row.score > limit);
      element.classList.toggle("turned", row.score > limit !== row.score > start);
    }
    const turned = items.filter((one) => one.row.score > limit !== one.row.score > start);
    replace(
      changed,
      (step > 0 ? turned : turned.reverse())
        .slice(0, 12)
        .map((one) => app.row(one.row.index, one.row.reasons.length ? h("span", { class: "why" }, because(one.row.reasons)) : null)),
    );
    mark(app, found.scores, limit, start);
  };
  const control = slider(h("b", {}, "Threshold"), "Threshold on the score", {
    low: 0,
    high: 1,
    step: 0.0025,
    value: t0,
    text: (t) => show(scale.from(t), 3),
    moved: (t) => paint(Math.abs(t - t0) < 0.00126 ? start : scale.from(t)),
  });
  app.on("tab", () => {
    if (app.state.tab === "anomalies")
      mark(
        app,
        found.scores,
        Math.abs(Number(control.input.value) - t0) < 0.00126 ? start : scale.from(Number(control.input.value)),
        start,
      );
  });
  paint(start);
  const plot = h(
    "div",
    { class: "frame scores" },
    histogram(
      [{ of: bins(scores, scale), cls: "bar-all" }, ...(known ? [{ of: bins(healthy, scale), cls: "bar-healthy" }] : [])],
      "How the scores lie",
    ),
    line,
    h("i", { class: "threshold-line start", style: `left:${across(t0)}` }),
  );
  const [low, high] = extent(scores);
  return [
    h("h2", {}, "Anomalies"),
    h(
      "p",
      { class: "hint" },
      app.about.score ? `${app.about.score.name[0].toUpperCase()}${app.about.score.name.slice(1)}: ${app.about.score.told}. ` : "",
      found.note ?? "",
    ),
    plot,
    h(
      "p",
      { class: "x-axis" },
      h("span", {}, show(low, 3)),
      h(
        "span",
        {},
        h("span", { class: "key bar-all" }, "these rows"),
        known ? h("span", { class: "key bar-healthy" }, "ordinary rows") : null,
      ),
      h("span", {}, show(high, 3)),
    ),
    h("div", { class: "under" }, control.row),
    story,
    change,
    changed,
    h("h3", {}, `The ${count(found.rows.length, "strangest row")}`),
    list,
  ];
}

const tileOf = (name: string, value: string, under: string): HTMLElement =>
  h("div", { class: "tile" }, h("span", {}, name), h("strong", {}, value), h("p", {}, under));

const because = (reasons: readonly Reason[]): string =>
  reasons
    .slice(0, 3)
    .map((one) => `${one.column} ${typeof one.observed === "number" ? show(one.observed) : (one.observed ?? "missing")}`)
    .join(" · ");

const item = (app: App, row: AnomalyRow): HTMLElement =>
  app.row(
    row.index,
    h("span", { class: "why" }, because(row.reasons)),
    h("span", { class: "score" }, show(row.score), row.p_value === null ? null : h("small", {}, `p ${show(row.p_value, 2)}`)),
  );

/** On the map: what is flagged, and what the moved threshold changes. */
function mark(app: App, scores: Float32Array, limit: number, start: number): void {
  const kind = (score: number): number => (score > limit ? (score > start ? 1 : 2) : score > start ? 3 : 0);
  app.paint(
    marks(
      "flagged",
      ["not flagged", "flagged", "newly flagged", "no longer"],
      ["k-none", "warm", "accent", "k0"],
      Float32Array.from(scores, kind),
    ),
  );
}
