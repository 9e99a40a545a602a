/** Training as it goes: losses, reconstructions, samples, dead units, the map, and a way to stop. */

import type { App } from "../app.ts";
import { floatsFromBase64 } from "../backend/bytes.ts";
import type { LiveEvent } from "../backend/types.ts";
import { extent, show } from "../math/numbers.ts";
import { lines } from "../ui/chart.ts";
import type { Line } from "../ui/chart.ts";
import { categoryColours } from "../ui/colours.ts";
import { small } from "../ui/content.ts";
import { button, h, ink, replace } from "../ui/dom.ts";

type Series = [number, number][];

const clock = (seconds: number): string => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function liveView(app: App): HTMLElement {
  const train: Series = [];
  const held: Series = [];
  const terms = new Map<string, Series>();
  const facts = h("dl", { class: "facts" });
  const progress = h("progress", { max: 1, value: 0, "aria-label": "Progress of the training" });
  const curve = h("div", {});
  const apart = h("div", { class: "curves" });
  const pairs = h("div", { class: "pairs" });
  const samples = h("div", { class: "samples" });
  const canvas = h("canvas", { class: "live-map", width: 480, height: 480, role: "img", "aria-label": "Map of the codes at this moment" });
  const verdict = h("p", { class: "verdict", role: "status" });
  const stop = button(
    "Stop and keep the best",
    () => {
      stop.disabled = true;
      verdict.textContent = "Stopping after this step …";
      app.backend.stop().catch((error: unknown) => {
        stop.disabled = false;
        app.fail(error);
      });
    },
    { class: "stop" },
  );

  const note = (event: LiveEvent): void => {
    for (const { step, train: loss, held_out, terms: parts } of event.history ?? [{ step: event.step, ...event.losses }]) {
      if (loss !== null) train.push([step, loss]);
      if (held_out !== null) held.push([step, held_out]);
      for (const [name, value] of Object.entries(parts ?? {})) {
        if (!terms.has(name)) terms.set(name, []);
        terms.get(name)!.push([step, value]);
      }
    }
  };
  const paint = (event: LiveEvent): void => {
    replace(facts, figures(event));
    if (event.steps) progress.value = event.step / event.steps;
    progress.hidden = !event.steps;
    const both: Line[] = [
      { name: "training", cls: "train", points: train },
      { name: "held out", cls: "held", points: held },
    ];
    replace(
      curve,
      lines(
        both.filter((one) => one.points.length),
        { label: "Losses", mark: event.best ? { x: event.best.step, text: "best" } : null, xText: "steps" },
      ),
    );
    replace(
      apart,
      [...terms].map(([name, points]) =>
        h(
          "figure",
          {},
          h("figcaption", {}, name, h("b", {}, show(points[points.length - 1][1], 3))),
          lines([{ name: "", cls: "k-ink", points }], { label: name }),
        ),
      ),
    );
    if (event.pairs?.length)
      replace(
        pairs,
        event.pairs.map(([input, made]) => h("div", {}, small(input), small(made))),
      );
    if (event.samples?.length)
      replace(
        samples,
        event.samples.map((item) => small(item)),
      );
    if (event.map) dots(canvas, floatsFromBase64(event.map), event.labels ?? null);
    canvas.parentElement!.hidden = canvas.parentElement!.hidden && !event.map;
    for (const box of [pairs, samples]) box.parentElement!.hidden = box.children.length === 0;
    document.documentElement.dataset.ready = "live";
    if (!event.done) return;
    stop.hidden = true;
    verdict.textContent = ending(event);
    element.classList.add("over");
  };
  // A stream faster than the screen: all losses are kept, only the newest event is drawn.
  let newest: LiveEvent | null = null;
  let waiting = false;
  const heard = (event: LiveEvent): void => {
    note(event);
    if (!waiting)
      requestAnimationFrame(() => {
        waiting = false;
        paint(newest!);
      });
    waiting = true;
    const before = newest;
    const { map, labels, pairs, samples, dead_units } = event;
    newest = {
      ...event,
      map: map ?? before?.map,
      labels: labels ?? before?.labels,
      pairs: pairs ?? before?.pairs,
      samples: samples ?? before?.samples,
      dead_units: dead_units ?? before?.dead_units,
    };
  };
  const panel = (title: string, ...inside: Node[]): HTMLElement =>
    h("section", { class: "panel", hidden: true }, h("h2", {}, title), ...inside);
  const element = h(
    "main",
    { class: "live" },
    h("section", { class: "panel wide" }, h("header", { class: "live-head" }, facts, stop), progress, verdict),
    h("section", { class: "panel" }, h("h2", {}, "Losses"), curve, apart),
    panel("Map of the codes", canvas),
    panel("Input above, reconstruction below", pairs),
    panel("Samples", samples),
  );
  app.backend.live(heard).catch((error: unknown) => {
    stop.hidden = true;
    app.fail(error);
  });
  return element;
}

function figures(event: LiveEvent): Node[] {
  const { losses, best } = event;
  const list: [string, string][] = [
    ["Step", event.steps ? `${show(event.step)} of ${show(event.steps)}` : show(event.step)],
    ["Time", clock(event.seconds)],
    ["Training loss", show(losses.train)],
    ["Held-out loss", show(losses.held_out)],
  ];
  if (best) list.push(["Best", `${show(best.value)} at step ${show(best.step)}`]);
  if (event.units) list.push(["Dead units", `${show(event.dead_units ?? 0)} of ${show(event.units)}`]);
  return list.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
}

function ending(event: LiveEvent): string {
  if (event.error) return `The training failed: ${event.error}`;
  const how = event.stopped ? "Stopped from this page" : "Finished";
  return `${how} after ${show(event.step)} steps${event.best ? `; the best, of step ${show(event.best.step)}, is kept` : ""}. The command goes on to save it; this page can be closed.`;
}

function dots(canvas: HTMLCanvasElement, xy: Float32Array, labels: (string | number)[] | null): void {
  const pen = canvas.getContext("2d")!;
  const n = xy.length / 2;
  const xs = Float32Array.from({ length: n }, (_, i) => xy[2 * i]);
  const ys = Float32Array.from({ length: n }, (_, i) => xy[2 * i + 1]);
  const [[left, right], [low, high]] = [extent(xs), extent(ys)];
  const scale = (canvas.width - 24) / Math.max(right - left, high - low, 1e-9);
  const names = labels ? [...new Set(labels)].sort() : [];
  const palette = categoryColours(names.length);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 0.75;
  for (let i = 0; i < n; i++) {
    pen.fillStyle = labels ? palette[names.indexOf(labels[i])] : ink("accent");
    pen.beginPath();
    pen.arc(
      canvas.width / 2 + (xs[i] - (left + right) / 2) * scale,
      canvas.height / 2 - (ys[i] - (low + high) / 2) * scale,
      n > 1000 ? 2.2 : 3.5,
      0,
      7,
    );
    pen.fill();
  }
}
