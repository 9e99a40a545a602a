/** One point: what went in, what came back, how strange it is and why, and who is near. */

import type { App } from "../app.ts";
import type { Point, Reason } from "../backend/types.ts";
import { count, percent, show } from "../math/numbers.ts";
import { compare } from "../ui/content.ts";
import { arrows, button, h, latest, replace } from "../ui/dom.ts";

const text = (value: string | number | null): string => (typeof value === "number" ? show(value) : (value ?? "missing"));

/** Why a row is strange, column by column; pictures have the difference instead. */
export function reasonsTable(reasons: readonly Reason[]): HTMLElement | null {
  if (reasons.length === 0) return null;
  const rows = reasons.map((reason) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, reason.column),
      h("td", {}, text(reason.observed)),
      h("td", { class: "made" }, text(reason.expected)),
      h(
        "td",
        {},
        reason.share === null
          ? ""
          : h("span", { class: "share", style: `--share:${(100 * reason.share).toFixed(0)}%` }, percent(reason.share, 0)),
      ),
    ),
  );
  const head = ["Column", "Found", "Expected", "Of the score"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Reasons" },
    h("table", { class: "reasons" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
  );
}

export function scoreLine(point: Pick<Point, "score" | "p_value">, what: string): HTMLElement | null {
  if (point.score === null) return null;
  const p = point.p_value;
  return h(
    "dl",
    { class: "facts" },
    h("div", {}, h("dt", {}, what), h("dd", {}, show(point.score))),
    p === null
      ? null
      : h(
          "div",
          {},
          h("dt", {}, "p-value"),
          h("dd", {}, show(p, 3)),
          h("p", { class: "muted" }, p <= 0.05 ? `${percent(p)} of ordinary rows score as high` : "an ordinary score"),
        ),
  );
}

export function pointView(app: App): HTMLElement {
  const body = h("div", {});
  const gallery = h("div", {});
  const element = h("div", { class: "view" }, gallery, body);
  let again: ReturnType<typeof setTimeout>;
  const load = latest(
    (index: number) => app.backend.point(index),
    (point) => {
      replace(body, page(app, point));
      clearTimeout(again);
      if (point.scoring) again = setTimeout(fresh, 1500);
    },
    app.fail,
  );
  const fresh = (): void => {
    if (app.state.point === null || app.state.tab !== "point") return;
    load(app.state.point);
  };
  app.on("point", fresh);
  app.on("tab", fresh);
  app.on("selection", () => replace(gallery, selected(app)));
  replace(body, h("p", { class: "empty" }, "Reading …"));
  return element;
}

function selected(app: App): Node[] {
  const { selection } = app.state;
  if (selection.length === 0) return [];
  const shown = selection.slice(0, 24);
  const list = h(
    "div",
    { class: "rows grid" },
    shown.map((index) => app.row(index)),
  );
  arrows(list);
  const rest = selection.length - shown.length;
  return [
    h("h2", {}, `${count(selection.length, "selected point")}`),
    h("p", { class: "muted" }, mixture(app)),
    list,
    h("p", { class: "muted" }, rest > 0 ? `and ${count(rest, "more", "more")}` : ""),
  ];
}

/** Which labels the selection holds, most frequent first. */
function mixture(app: App): string {
  const found = new Map<string, number>();
  for (const index of app.state.selection) {
    const label = app.label(index);
    if (label !== null) found.set(label, (found.get(label) ?? 0) + 1);
  }
  const parts = [...found]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 6)
    .map(([label, n]) => `${label} (${percent(n / app.state.selection.length, 0)})`);
  return parts.join(" · ");
}

function page(app: App, point: Point): (Node | null)[] {
  const { about } = app;
  const near = h(
    "div",
    { class: "rows grid" },
    point.neighbours.map((one) => app.row(one.index, h("small", {}, show(one.distance, 3)))),
  );
  arrows(near);
  return [
    h(
      "header",
      { class: "point-head" },
      h("h2", {}, `Row ${show(point.index)}`),
      point.label === null ? null : h("span", { class: "badge" }, point.label),
    ),
    compare(point.input, point.reconstruction, point.difference, about.columns),
    point.scoring ? h("p", { class: "hint" }, "The score follows: the scores of all rows are being made.") : null,
    scoreLine(point, about.score?.name ? about.score.name[0].toUpperCase() + about.score.name.slice(1) : "Score"),
    point.reasons.length ? h("h3", {}, "What made it strange") : null,
    reasonsTable(point.reasons),
    h(
      "div",
      { class: "actions" },
      button("Open in the sliders", () => {
        app.set({ code: [...point.code] }, "code");
        app.open("sliders");
      }),
      button("Walk from here", () => {
        app.set({ from: point.index }, "ends");
        app.open("walk");
      }),
      button("Walk to here", () => {
        app.set({ to: point.index }, "ends");
        app.open("walk");
      }),
    ),
    point.neighbours.length ? h("h3", {}, "Nearest neighbours") : null,
    point.neighbours.length ? near : null,
  ];
}
