/** Small charts: lines over a common axis, and a histogram with a threshold. */

import { extent, show } from "../math/numbers.ts";
import { h, svg } from "./dom.ts";

export interface Line {
  name: string;
  cls: string;
  points: readonly (readonly [number, number])[];
}

interface ChartOptions {
  label: string;
  log?: boolean;
  mark?: { x: number; text: string } | null;
  xText?: string;
  zero?: boolean;
}

const WIDTH = 600;
const HEIGHT = 160;

/** Lines in one frame; the frame's limits stand in words at its corners. */
export function lines(list: readonly Line[], { label, log = false, mark = null, xText = "", zero = false }: ChartOptions): HTMLElement {
  const all = list.flatMap((line) => line.points.filter((point) => Number.isFinite(point[1]) && (!log || point[1] > 0)));
  const [left, right] = extent(all.map((point) => point[0]));
  const [low, high] = extent(zero ? [0, ...all.map((point) => point[1])] : all.map((point) => point[1]));
  const scale = log ? Math.log : (value: number) => value;
  const x = (value: number): number => (WIDTH * (value - left)) / (right - left || 1);
  const y = (value: number): number => HEIGHT - 4 - ((HEIGHT - 8) * (scale(value) - scale(low))) / (scale(high) - scale(low) || 1);
  const path = (line: Line): string =>
    line.points
      .filter((p) => Number.isFinite(p[1]) && (!log || p[1] > 0))
      .map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`)
      .join("");
  const drawn = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    low < 0 && high > 0 && !log ? svg("path", { class: "rule", d: `M0 ${y(0)}H${WIDTH}` }) : null,
    mark ? svg("path", { class: "rule best-at", d: `M${x(mark.x).toFixed(1)} 0V${HEIGHT}` }) : null,
    list.map((line) => svg("path", { class: `line ${line.cls}`, d: path(line) })),
  );
  const keys =
    list.length > 1 || list[0]?.name
      ? h(
          "p",
          { class: "keys" },
          list.map((line) => h("span", { class: `key ${line.cls}` }, line.name)),
        )
      : null;
  return h(
    "div",
    { class: "chart" },
    keys,
    h(
      "div",
      { class: "frame" },
      drawn,
      h("span", { class: "y-high" }, show(high, 3)),
      h("span", { class: "y-low" }, show(low, 3)),
      mark ? h("span", { class: "best-text", style: `left:${(100 * x(mark.x)) / WIDTH}%` }, mark.text) : null,
    ),
    xText ? h("p", { class: "x-axis" }, h("span", {}, show(left)), h("span", {}, xText), h("span", {}, show(right))) : null,
  );
}

export function histogram(shares: readonly { of: number[]; cls: string }[], label: string): SVGSVGElement {
  const bins = shares[0].of.length;
  const top = Math.max(...shares.flatMap((one) => one.of), 1e-12);
  const bar = (cls: string) => (value: number, i: number) => {
    const height = Math.sqrt(value / top) * (HEIGHT - 6);
    return svg("rect", { class: cls, x: (i * WIDTH) / bins, width: WIDTH / bins + 0.3, y: HEIGHT - height, height });
  };
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    shares.map((one) => one.of.map(bar(one.cls))),
  );
}
