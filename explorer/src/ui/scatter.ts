/** The map of points: regl-scatterplot with touch, keys and markers added. */

import createScatterplot from "regl-scatterplot";
import { extent } from "../math/numbers.ts";
import type { Colouring } from "./colours.ts";
import { h, ink } from "./dom.ts";

export interface Marker {
  index: number;
  text: string;
}

export interface ScatterEvents {
  hover(index: number | null): void;
  pick(index: number): void;
  lasso(indices: number[]): void;
  cleared(): void;
}

export interface Scatter {
  element: HTMLElement;
  canvas: HTMLCanvasElement;
  points(xy: Float32Array): void;
  colour(colouring: Colouring): void;
  select(indices: number[]): void;
  markers(list: Marker[]): void;
  mode(lasso: boolean): void;
  reset(): void;
  /** Where a point is on the screen, in pixels of the map. */
  place(index: number): [number, number] | null;
  restyle(): void;
}

type Plot = ReturnType<typeof createScatterplot>;

/** Centre the points and scale both axes alike, so that distances stay what they are. */
function fit(xy: Float32Array): { x: Float32Array; y: Float32Array } {
  const n = xy.length / 2;
  const x = new Float32Array(n);
  const y = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    x[i] = xy[2 * i];
    y[i] = xy[2 * i + 1];
  }
  const [[left, right], [low, high]] = [extent(x), extent(y)];
  const scale = 1.86 / Math.max(right - left, high - low, 1e-12);
  for (let i = 0; i < n; i++) {
    x[i] = (x[i] - (left + right) / 2) * scale;
    y[i] = (y[i] - (low + high) / 2) * scale;
  }
  return { x, y };
}

const dotSize = (n: number): number => (n <= 2500 ? 6 : n <= 12000 ? 4.5 : n <= 40000 ? 3 : 2);

function opacity(n: number): number {
  return n <= 2500 ? 0.85 : n <= 12000 ? 0.7 : n <= 40000 ? 0.55 : 0.4;
}

/** Fingers speak the language of the mouse: one drags, two zoom. */
function touch(canvas: HTMLCanvasElement): void {
  const fingers = new Map<number, PointerEvent>();
  let span = 0;
  const mouse = (type: string, event: PointerEvent, target: EventTarget): void => {
    const { clientX, clientY } = event;
    target.dispatchEvent(
      new MouseEvent(type, { clientX, clientY, bubbles: true, cancelable: true, buttons: type === "mouseup" ? 0 : 1, view: window }),
    );
  };
  const apart = (): number => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") return;
    event.preventDefault();
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 1) {
      mouse("mouseenter", event, canvas);
      mouse("mousemove", event, window);
      mouse("mousedown", event, canvas);
    } else {
      mouse("mouseup", event, window);
      span = apart();
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) return mouse("mousemove", event, window);
    const now = apart();
    const [a, b] = [...fingers.values()];
    const [clientX, clientY] = [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2];
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: (span - now) * 4, clientX, clientY, bubbles: true, cancelable: true }));
    span = now;
  });
  const up = (event: PointerEvent): void => {
    if (fingers.delete(event.pointerId) && fingers.size === 0) mouse("mouseup", event, window);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
}

export function scatter(events: ScatterEvents): Scatter | null {
  const canvas = h("canvas", { tabindex: 0, role: "application", class: "map-canvas" });
  const overlay = h("div", { class: "markers", "aria-hidden": "true" });
  const element = h("div", { class: "plot" }, canvas, overlay);
  if (!document.createElement("canvas").getContext("webgl")) return null;
  let plot: Plot | null = null;
  let data: { x: Float32Array; y: Float32Array } | null = null;
  let painted: Colouring | null = null;
  let index: ArrayBuffer | undefined;
  let indexed: Float32Array | null = null;
  let marked: Marker[] = [];
  let selected: number[] = [];
  let drawing: Promise<void> = Promise.resolve();
  let stale = false;

  const start = (): Plot => {
    const { width, height } = element.getBoundingClientRect();
    const made = createScatterplot({
      canvas,
      width,
      height,
      pointSize: 4,
      lassoInitiator: false,
      lassoMinDelay: 8,
      lassoMinDist: 2,
      lassoLineWidth: 2,
      deselectOnDblClick: true,
      deselectOnEscape: true,
      spatialIndexUseWorker: false,
      ...look(),
    });
    made.subscribe("pointOver", (i) => events.hover(i));
    made.subscribe("pointOut", () => events.hover(null));
    made.subscribe("select", ({ points }) => (points.length === 1 && !lassoing ? picked(points[0]) : events.lasso([...points])));
    made.subscribe("deselect", () => events.cleared());
    made.subscribe("view", () => place());
    made.subscribe("lassoStart", () => {
      lassoing = true;
    });
    made.subscribe("lassoEnd", () => {
      setTimeout(() => {
        lassoing = false;
      }, 0);
    });
    return made;
  };
  let lassoing = false;
  // A click chooses the point to look at; it must not fade all the others as a selection does.
  const picked = (i: number): void => {
    queueMicrotask(() => restoreSelection());
    events.pick(i);
  };
  const restoreSelection = (): void => {
    if (selected.length > 0) plot?.select(selected, { preventEvent: true });
    else plot?.deselect({ preventEvent: true });
  };
  const look = () => ({
    backgroundColor: ink("card"),
    lassoColor: ink("accent"),
    pointColorHover: ink("ink"),
    reticleColor: ink("line"),
    showReticle: false,
  });
  const place = (): void => {
    for (const [i, node] of [...overlay.children].entries()) {
      const spot = marked[i] ? plot?.getScreenPosition(marked[i].index) : undefined;
      (node as HTMLElement).hidden = !spot;
      if (spot) (node as HTMLElement).style.transform = `translate(${spot[0]}px, ${spot[1]}px)`;
    }
  };
  const draw = async (): Promise<void> => {
    if (!plot || !data || !painted) return;
    const [points, colours] = [data, painted];
    const n = points.x.length;
    plot.set({
      ...look(),
      pointColor: colours.palette,
      pointColorActive: colours.palette as unknown as string,
      colorBy: "valueA",
      pointSize: dotSize(n),
      opacity: opacity(n),
      opacityInactiveMax: 0.12,
      pointSizeSelected: 1,
      pointOutlineWidth: 1,
    });
    await plot.draw(
      { x: points.x, y: points.y, valueA: colours.bins },
      { zDataType: "categorical", spatialIndex: indexed === points.x ? index : undefined },
    );
    index = plot.get("spatialIndex");
    indexed = points.x;
    if (selected.length) plot.select(selected, { preventEvent: true });
    place();
    element.dataset.drawn = String(n);
  };
  // Colours and points that change faster than they are drawn: only the newest are.
  const redraw = (): void => {
    if (stale) return;
    stale = true;
    drawing = drawing.then(() => {
      stale = false;
      return draw();
    });
  };
  new ResizeObserver(() => {
    const { width, height } = element.getBoundingClientRect();
    if (width < 2 || height < 2) return;
    if (plot) plot.set({ width, height });
    else plot = start();
    redraw();
  }).observe(element);
  touch(canvas);

  return {
    element,
    canvas,
    points(xy) {
      data = fit(xy);
      redraw();
    },
    colour(colouring) {
      painted = colouring;
      redraw();
    },
    select(indices) {
      selected = indices;
      if (element.dataset.drawn) restoreSelection();
    },
    markers(list) {
      marked = list;
      overlay.replaceChildren(
        ...list.map((one) =>
          h("span", { class: one.text ? "marker named" : "marker", "data-index": one.index }, one.text && h("b", {}, one.text)),
        ),
      );
      if (element.dataset.drawn) place();
    },
    mode(lasso) {
      plot?.set({ mouseMode: lasso ? "lasso" : "panZoom" });
      canvas.classList.toggle("lasso", lasso);
    },
    reset() {
      void plot?.zoomToOrigin({ transition: false });
    },
    place: (i) => plot?.getScreenPosition(i) ?? null,
    restyle: redraw,
  };
}
