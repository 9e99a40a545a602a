/** A picture, a table's row, a series: shown on its own, compared, or small. */

import type { Cell, Column, Content } from "../backend/types.ts";
import { show } from "../math/numbers.ts";
import { lines } from "./chart.ts";
import { h, svg } from "./dom.ts";

const LONG = 40;
const UNNAMED = 16;

/** Few named numbers are read as a table's row. */
export function cellsOf(content: Content): Cell[] | null {
  if (content.kind === "table") return content.cells;
  if (content.kind === "picture" || content.kind === "series" || content.values.length > (content.names ? LONG : UNNAMED)) return null;
  return content.values.map((value, i) => ({
    name: content.names?.[i] ?? `number ${i + 1}`,
    text: show(value),
    number: value,
    low: null,
    high: null,
  }));
}

export function picture(content: Extract<Content, { kind: "picture" }>, alt: string): HTMLImageElement {
  const crisp = Math.max(content.width, content.height) <= 128;
  return h("img", { src: content.png, alt, class: crisp ? "picture crisp" : "picture", draggable: "false" });
}

const at = (cell: Cell): number | null => {
  if (cell.number === null || cell.low === null || cell.high === null || !(cell.high > cell.low)) return null;
  return Math.max(0, Math.min(1, (cell.number - cell.low) / (cell.high - cell.low)));
};

const bar = (...cells: (Cell | undefined)[]): HTMLElement => {
  const marks = cells.map((cell, i) => {
    const place = cell ? at(cell) : null;
    return place === null ? null : h("i", { class: `mark m${i}`, style: `left:${(100 * place).toFixed(1)}%` });
  });
  return h("span", { class: marks.some(Boolean) ? "track" : "track none" }, marks);
};

/** A name that may break after its underscores and slashes. */
const breakable = (name: string): (string | Node)[] => name.split(/(?<=[_/.-])/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));

const nameOf = (cell: Cell, columns: readonly Column[]): HTMLElement => {
  const unit = columns.find((column) => column.name === cell.name)?.unit;
  return h(
    "th",
    { scope: "row" },
    breakable(cell.name),
    unit && cell.number !== null && !cell.text.includes(unit) ? h("small", {}, ` ${unit}`) : null,
  );
};

function card(cells: Cell[], columns: readonly Column[]): HTMLElement {
  return h(
    "table",
    { class: "cells" },
    h(
      "tbody",
      {},
      cells.map((cell) =>
        h("tr", {}, nameOf(cell, columns), h("td", { class: "value" }, cell.text), h("td", { class: "where" }, bar(cell))),
      ),
    ),
  );
}

const indexed = (values: readonly (number | null)[]): [number, number][] => values.map((value, i) => [i, value ?? Number.NaN]);

/** One content; `alt` says in words what it is. */
export function view(content: Content, alt: string, columns: readonly Column[] = []): HTMLElement {
  if (content.kind === "picture") return picture(content, alt);
  const cells = cellsOf(content);
  if (cells) return card(cells, columns);
  return lines([{ name: "", cls: "k-ink", points: indexed((content as { values: (number | null)[] }).values) }], { label: alt });
}

const cap = (text: string): string => text[0].toUpperCase() + text.slice(1);
const PARTS = ["input", "reconstruction", "difference"];

/** Two contents, and what lies between them, beside or on top of each other. */
export function compare(
  first: Content,
  second: Content,
  difference: Content | null,
  columns: readonly Column[],
  names: readonly string[] = PARTS,
): HTMLElement {
  if (first.kind === "picture") {
    const parts = [first, second, difference].filter((content) => content !== null);
    return h(
      "div",
      { class: difference ? "three" : "three pair" },
      parts.map((content, i) => h("figure", {}, view(content, cap(names[i])), h("figcaption", {}, cap(names[i])))),
    );
  }
  const [a, b] = [cellsOf(first), cellsOf(second)];
  if (a && b) return compareCells(a, b, difference && cellsOf(difference), columns, names);
  const values = (content: Content): [number, number][] => indexed("values" in content ? content.values : []);
  return h(
    "div",
    {},
    lines(
      [
        { name: names[0], cls: "k-ink", points: values(first) },
        { name: names[1], cls: "held", points: values(second) },
      ],
      { label: `${names[0]} and ${names[1]}` },
    ),
    difference ? lines([{ name: names[2], cls: "train", points: values(difference) }], { label: names[2], zero: true }) : null,
  );
}

function compareCells(
  first: Cell[],
  second: Cell[],
  difference: Cell[] | null,
  columns: readonly Column[],
  names: readonly string[],
): HTMLElement {
  const apart = (i: number): string => {
    const cell = difference?.[i];
    return cell?.number === null ? (first[i].text === second[i]?.text ? "same" : "differs") : (cell?.text ?? "");
  };
  const rows = first.map((cell, i) =>
    h(
      "tr",
      {},
      nameOf(cell, columns),
      h("td", { class: "value" }, cell.text),
      h("td", { class: "value made" }, second[i]?.text ?? "—"),
      difference ? h("td", { class: "value muted apart" }, apart(i)) : null,
      h("td", { class: "where" }, bar(cell, second[i])),
    ),
  );
  const words = ["Column", names[0], names[1] === "reconstruction" ? "rebuilt" : names[1], ...(difference ? [names[2]] : []), ""];
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      words.map((text, i) => h("th", { scope: "col", class: i === 3 && difference ? "apart" : null }, text && cap(text))),
    ),
  );
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `${cap(names[0])} and ${names[1]} by column` },
    h("table", { class: "cells compared" }, head, h("tbody", {}, rows)),
  );
}

/** A place that shows one content after another without flicker. */
export function frame(columns: readonly Column[], alt: string): { element: HTMLElement; set(content: Content): void } {
  const element = h("div", { class: "frame-content" });
  const set = (content: Content): void => {
    const now = element.firstElementChild;
    if (content.kind === "picture" && now instanceof HTMLImageElement) now.src = content.png;
    else if (!updateCells(now, content)) element.replaceChildren(view(content, alt, columns));
  };
  return { element, set };
}

function updateCells(now: Element | null, content: Content): boolean {
  const cells = cellsOf(content);
  const rows = now instanceof HTMLTableElement ? now.tBodies[0].rows : null;
  if (!cells || !rows || rows.length !== cells.length) return false;
  cells.forEach((cell, i) => {
    rows[i].cells[1].textContent = cell.text;
    rows[i].cells[2].replaceChildren(bar(cell));
  });
  return true;
}

/** A content in a small space: a picture, a spark line, or the first columns in words. */
export function small(content: Content): Element {
  if (content.kind === "picture") return picture(content, "");
  if (content.kind === "table")
    return h(
      "span",
      { class: "few" },
      content.cells.slice(0, 3).map((cell) => h("span", {}, cell.text)),
    );
  return spark(content.values);
}

/** The cells that change most from the first to the last of these rows: numbers by their range, words that differ as much as six tenths of one. */
export function mostChanged(rows: readonly Content[], count: number): number[] {
  const [first, last] = [cellsOf(rows[0]), cellsOf(rows[rows.length - 1])];
  if (!first || !last) return [];
  const change = (i: number): number => {
    const [a, b] = [first[i], last[i]];
    if (a.number === null || b.number === null) return a.text === b.text ? 0 : 0.6;
    return Math.abs(a.number - b.number) / ((a.high ?? 0) - (a.low ?? 0) || Math.abs(a.number) || 1);
  };
  return first
    .map((_, i) => i)
    .sort((i, j) => change(j) - change(i))
    .slice(0, count);
}

function spark(given: readonly (number | null)[]): SVGSVGElement {
  const values = given.map((value) => value ?? 0);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const d = values
    .map(
      (value, i) =>
        `${i ? "L" : "M"}${((60 * i) / Math.max(values.length - 1, 1)).toFixed(1)} ${(27 - (24 * (value - low)) / span).toFixed(1)}`,
    )
    .join("");
  return svg("svg", { class: "spark", viewBox: "0 0 60 30", "aria-hidden": "true" }, svg("path", { class: "line held", d }));
}
