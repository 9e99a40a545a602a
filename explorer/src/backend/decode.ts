/** What a decoder graph gives, turned into contents: the last step of an exported page. */

import { show } from "../math/numbers.ts";
import type { Cell, Column, Content } from "./types.ts";

export interface TableColumn {
  name: string;
  kind: string;
  start: number;
  width: number;
  how: "argmax" | "interp" | "threshold";
  levels: string[] | null;
  knots: { x: number[]; y: number[] } | null;
  /** Range of the training rows. */
  low?: number | null;
  high?: number | null;
  whole?: boolean;
  decimals?: number | null;
}

export type Decoding =
  | { kind: "picture"; shape: number[]; scale?: number }
  | { kind: "table"; columns: TableColumn[] }
  | { kind: "numbers" | "series"; names?: string[] | null; knots?: { x: number[]; y: number[] }[] | null };

/** Piecewise-linear through ascending knots, flat beyond the ends. */
export function interp(x: number, knots: { x: number[]; y: number[] }): number {
  const last = knots.x.length - 1;
  if (x <= knots.x[0]) return knots.y[0];
  if (x >= knots.x[last]) return knots.y[last];
  const next = knots.x.findIndex((knot) => knot > x);
  const [left, right] = [knots.x[next - 1], knots.x[next]];
  return knots.y[next - 1] + ((x - left) / (right - left)) * (knots.y[next] - knots.y[next - 1]);
}

/** Seconds since 1970 as a day, or as a minute. */
const date = (seconds: number, whole = false): string =>
  new Date(1000 * seconds)
    .toISOString()
    .slice(0, whole ? 10 : 16)
    .replace("T", " ");

const decimals = (value: number, places: number | null | undefined): string =>
  typeof places === "number" ? String(Number(value.toFixed(places))) : show(value);

/** Between which values a column's numbers lie: of the training rows where known, else of the knots. */
export function rangeOf(column: TableColumn): { low: number | null; high: number | null } {
  const y = column.knots?.y;
  return { low: column.low ?? (y ? Math.min(...y) : null), high: column.high ?? (y ? Math.max(...y) : null) };
}

function cell(column: TableColumn, row: Float32Array, about: readonly Column[]): Cell {
  const slice = row.subarray(column.start, column.start + column.width);
  const name = column.name;
  if (column.how === "interp" && column.knots) {
    const value = interp(slice[0], column.knots);
    if (column.kind === "date") return { name, text: date(value, column.whole), number: null, low: null, high: null };
    const number = column.whole ? Math.round(value) : value;
    const unit = about.find((one) => one.name === name)?.unit;
    return { name, text: `${decimals(number, column.decimals)}${unit ? ` ${unit}` : ""}`, number, ...rangeOf(column) };
  }
  const level = column.how === "threshold" ? Number(slice[0] >= 0.5) : slice.indexOf(Math.max(...slice));
  return { name, text: column.levels?.[level] ?? String(level), number: null, low: null, high: null };
}

/** Draw values in [0, 1] as a picture. */
export function png(values: Float32Array, [height, width, channels]: number[]): string {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d")!;
  const image = pen.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++)
      image.data[4 * i + c] = Math.round(255 * Math.max(0, Math.min(1, values[i * channels + (channels >= 3 ? c : 0)])));
    image.data[4 * i + 3] = channels === 4 ? Math.round(255 * values[i * channels + 3]) : 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

export function content(row: Float32Array, how: Decoding, columns: readonly Column[]): Content {
  if (how.kind === "picture") return { kind: "picture", png: png(row, how.shape), width: how.shape[1], height: how.shape[0] };
  if (how.kind === "table") return { kind: "table", cells: how.columns.map((column) => cell(column, row, columns)) };
  const values = Array.from(row, (value, i) => (how.knots?.[i] ? interp(value, how.knots[i]) : value));
  return { kind: how.kind, values, names: how.names ?? null };
}

/** What is left of the input: signed for numbers, whether it differs for words; pictures as a distance from grey. */
export function difference(input: Content, made: Content): Content {
  if (input.kind === "table" && made.kind === "table")
    return { kind: "table", cells: input.cells.map((one, i) => without(one, made.cells[i])) };
  if ("values" in input && "values" in made)
    return { ...input, values: input.values.map((value, i) => (value ?? Number.NaN) - (made.values[i] ?? Number.NaN)) };
  return made;
}

function without(one: Cell, other: Cell): Cell {
  if (one.number === null || other.number === null) return { ...one, text: one.text === other.text ? "same" : "other", number: null };
  const left = one.number - other.number;
  return { ...one, text: `${left > 0 ? "+" : ""}${show(left, 3)}`, number: left, low: null, high: null };
}
