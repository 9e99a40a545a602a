/** Points' colours: a few named ones for categories, a ramp for numbers. */

import type { ColourInfo } from "../backend/types.ts";
import { extent, finite, quantile } from "../math/numbers.ts";
import { ink } from "./dom.ts";

const BINS = 64;
const RAMPS = {
  light: ["#40498e", "#2f7fa0", "#2fa58c", "#9fb54a", "#e29a35", "#c23b1e"],
  dark: ["#6f7bd0", "#4aa3c9", "#4cc3a5", "#bfd268", "#ffb95c", "#ff6a4a"],
};

export interface Colouring {
  name: string;
  info: ColourInfo;
  /** Which of the palette's colours each point has. */
  bins: Float32Array;
  palette: string[];
  values: Float32Array;
  low: number;
  high: number;
  levels: string[];
  counts: number[];
}

export const dark = (): boolean => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const rgb = (hex: string): number[] => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
const hex = (parts: number[]): string => `#${parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;

/** A colour of the ramp at `t` in [0, 1]. */
export function ramp(t: number): string {
  const stops = RAMPS[dark() ? "dark" : "light"];
  const at = Math.max(0, Math.min(1, t)) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [rgb(stops[low]), rgb(stops[low + 1])];
  return hex(a.map((part, i) => part + (at - low) * (b[i] - part)));
}

export const rampStyle = (): string => `linear-gradient(to right, ${RAMPS[dark() ? "dark" : "light"].join(", ")})`;

/** Colours of `n` categories: the reports' ten, then turns of the colour wheel. */
export function categoryColours(n: number): string[] {
  return Array.from({ length: n }, (_, i) => (i < 10 ? ink(`k${i}`) : wheel(i)));
}

function wheel(i: number): string {
  const hue = (i * 137.508) % 360;
  const [saturation, light] = dark() ? [0.55, 0.66] : [0.55, 0.45];
  const part = (n: number): number => {
    const k = (n + hue / 30) % 12;
    return 255 * (light - saturation * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return hex([part(0), part(8), part(4)]);
}

export function colouring(info: ColourInfo, values: Float32Array): Colouring {
  return info.kind === "category" ? byLevel(info, values) : byNumber(info, values);
}

function byLevel(info: ColourInfo, values: Float32Array): Colouring {
  const levels = info.levels ?? Array.from({ length: extent(finite(values))[1] + 1 }, (_, i) => String(i));
  const counts = new Array<number>(levels.length + 1).fill(0);
  const bins = values.map((value) => (Number.isFinite(value) && value >= 0 && value < levels.length ? value : levels.length));
  for (const bin of bins) counts[bin]++;
  const palette = [...categoryColours(levels.length), ink("k-none")];
  return { name: info.name, info, bins, palette, values, low: 0, high: levels.length, levels, counts };
}

/** The ramp runs from the 1st to the 99th hundredth, so that a few far values do not paint all others alike. */
function byNumber(info: ColourInfo, values: Float32Array): Colouring {
  const sorted = finite(values).sort();
  const [low, high] = sorted.length ? [quantile(sorted, 0.01), quantile(sorted, 0.99)] : [0, 1];
  const scale = high > low ? (BINS - 1) / (high - low) : 0;
  const bin = (value: number): number => Math.max(0, Math.min(BINS - 1, Math.round((value - low) * scale)));
  const bins = values.map((value) => (Number.isFinite(value) ? bin(value) : BINS));
  const palette = [...Array.from({ length: BINS }, (_, i) => ramp(i / (BINS - 1))), ink("k-none")];
  return { name: info.name, info, bins, palette, values, low, high, levels: [], counts: [values.length - sorted.length] };
}

/** A colouring by marks of a view's own: 0 is quiet, then warm, then accent. */
export function marks(name: string, levels: string[], colours: string[], bins: Float32Array): Colouring {
  const counts = new Array<number>(levels.length + 1).fill(0);
  for (const bin of bins) counts[bin]++;
  const info: ColourInfo = { name, kind: "category", levels };
  return { name, info, bins, palette: [...colours.map(ink), ink("k-none")], values: bins, low: 0, high: levels.length, levels, counts };
}
