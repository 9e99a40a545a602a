/** The map: points, colours, hover, lasso, keys. */

import type { App } from "../app.ts";
import { colouring, rampStyle } from "../ui/colours.ts";
import type { Colouring } from "../ui/colours.ts";
import { small } from "../ui/content.ts";
import { button, choice, h, replace, select } from "../ui/dom.ts";
import { scatter } from "../ui/scatter.ts";
import type { Marker } from "../ui/scatter.ts";
import { count, finite, quantile, show } from "../math/numbers.ts";

const METHODS: Record<string, string> = { codes: "code", pca: "PCA", umap: "UMAP", pacmap: "PaCMAP", tsne: "t-SNE" };
const KEYS: [string, string][] = [
  ["Arrow keys", "to the next point in that direction"],
  ["Shift + arrows", "move the map"],
  ["+ and −", "closer and farther"],
  ["0", "the whole map"],
  ["Enter", "open the point"],
  ["1 and 2", "walk from this point, to this point"],
  ["Escape", "drop the selection"],
  ["Shift + drag", "lasso"],
];

/** The nearest point within 45° of a direction; distance across counts double. */
export function nextIn(xy: Float32Array, from: number, dx: number, dy: number): number | null {
  let best: number | null = null;
  let least = Infinity;
  for (let i = 0; i < xy.length / 2; i++) {
    const [x, y] = [xy[2 * i] - xy[2 * from], xy[2 * i + 1] - xy[2 * from + 1]];
    const ahead = x * dx + y * dy;
    const across = Math.abs(x * dy) + Math.abs(y * dx);
    if (ahead <= 0 || across > ahead || ahead + 2 * across >= least) continue;
    least = ahead + 2 * across;
    best = i;
  }
  return best;
}

export function mapView(app: App): HTMLElement {
  const { about, backend, state } = app;
  const tip = h("div", { class: "tip", hidden: true });
  const legend = h("div", { class: "legend" });
  const chosen = h("div", { class: "chosen", hidden: true });
  let xy: Float32Array | null = null;
  let colour: Colouring | null = null;
  let over: Colouring | null = null;
  let hovered: number | null = null;

  const plot = scatter({
    hover: (index) => void hover(index),
    pick: (index) => app.look(index, state.tab === "sliders" || state.tab === "walk" || state.tab === "anomalies" ? undefined : "point"),
    lasso: (indices) => app.set({ selection: indices }, "selection"),
    cleared: () => app.set({ selection: [] }, "selection"),
  });

  const show_ = (): void => {
    const now = over ?? colour;
    if (now) plot?.colour(now);
    replace(legend, now ? legendOf(now, app) : null);
  };
  const hover = async (index: number | null): Promise<void> => {
    hovered = index;
    tip.hidden = true;
    if (index === null) return;
    const value = colour && colour.info.kind === "number" ? h("span", {}, `${colour.name} ${show(colour.values[index])}`) : null;
    const sight = app.sheet && index < app.sheet.count ? app.thumb(index) : small(await app.input(index));
    if (hovered !== index) return;
    replace(
      tip,
      sight,
      h("b", {}, app.label(index) ?? `Row ${show(index)}`),
      app.label(index) === null ? null : h("span", {}, `row ${show(index)}`),
      value,
    );
    const spot = plot?.place(index);
    if (!spot) return;
    tip.hidden = false;
    putTip(tip, spot, plot!.element);
  };
  const recolour = async (name: string): Promise<void> => {
    const info = about.colours.find((one) => one.name === name);
    if (!info) return;
    colour = colouring(info, await backend.colour(name));
    if (info === labelInfo(app) && !app.labels) app.labels = { levels: colour.levels, values: colour.values };
    show_();
  };
  const layout = async (method: string): Promise<void> => {
    xy = await backend.map(method);
    plot?.points(xy);
  };
  const markers = (): void => {
    const list: Marker[] = [];
    if (state.from !== null) list.push({ index: state.from, text: "1" });
    if (state.to !== null) list.push({ index: state.to, text: "2" });
    if (state.point !== null) list.push({ index: state.point, text: "" });
    plot?.markers(list);
  };
  app.paint = (colouring_) => {
    over = colouring_;
    show_();
  };
  app.on("point", markers);
  app.on("ends", markers);
  app.on("selection", () => {
    plot?.select(state.selection);
    chosen.hidden = state.selection.length === 0;
    replace(chosen, selectionBar(app));
    if (state.selection.length) app.say(`${count(state.selection.length, "point")} selected`);
  });
  app.on("theme", () => {
    if (colour && colour.info) colour = colouring(colour.info, colour.values);
    if (over) over = null;
    show_();
    plot?.restyle();
    app.tell("tab");
  });
  if (!plot) return blind(app);
  keyboard(app, plot, () => xy);
  const tools = h(
    "div",
    { class: "tools" },
    about.colours.length
      ? select(
          "Colour",
          about.colours.map((one) => [one.name, one.name] as const),
          about.colours[0].name,
          (name) => void recolour(name).catch(app.fail),
        )
      : null,
    about.maps.length > 1
      ? select(
          "Layout",
          about.maps.map((one) => [one, METHODS[one] ?? one] as const),
          about.maps[0],
          (name) => void layout(name).catch(app.fail),
        )
      : null,
    choice(
      "What dragging does",
      [
        ["pan", "Move"],
        ["lasso", "Lasso"],
      ] as const,
      "pan",
      (mode) => plot.mode(mode === "lasso"),
    ),
    button("Whole map", () => plot.reset(), { class: "quiet" }),
    goTo(app),
    help(),
  );
  plot.element.append(tip, chosen);
  void start(about.maps[0], layout, recolour, app);
  return h("section", { class: "map", "aria-label": "Map of the codes" }, tools, plot.element, legend);
}

/** Without WebGL there is no map, but all that stands beside it. */
function blind(app: App): HTMLElement {
  queueMicrotask(() => {
    if (app.about.rows > 0) app.look(0);
    document.documentElement.dataset.ready = "map";
  });
  const told =
    "This browser draws no WebGL, which the map needs: switch on hardware acceleration, or open the page in another browser. Everything beside the map works; rows are reached by their number.";
  return h("section", { class: "map" }, h("div", { class: "tools" }, goTo(app)), h("p", { class: "empty" }, told));
}

async function start(
  method: string,
  layout: (m: string) => Promise<void>,
  recolour: (n: string) => Promise<void>,
  app: App,
): Promise<void> {
  try {
    await Promise.all([layout(method), app.about.colours.length ? recolour(app.about.colours[0].name) : null]);
    const info = labelInfo(app);
    if (info && !app.labels) app.labels = { levels: info.levels ?? [], values: await app.backend.colour(info.name) };
    app.paint(null);
    document.documentElement.dataset.ready = "map";
    if (app.state.point === null && app.about.rows > 0) app.look(0);
  } catch (error) {
    app.fail(error);
  }
}

/** What rows are called by: the first colour, where it is of a few kinds. */
const labelInfo = (app: App) => app.about.colours.slice(0, 1).find((one) => one.kind === "category");

function putTip(tip: HTMLElement, [x, y]: [number, number], inside: HTMLElement): void {
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const left = x + 16 + width > inside.clientWidth ? x - 16 - width : x + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(inside.clientHeight - height - 4, y - height / 2))}px`;
}

function legendOf(now: Colouring, app: App): (Node | null)[] {
  if (now.info.kind === "number") {
    const missing = now.counts[0] ? h("span", { class: "muted" }, `${show(now.counts[0])} without a value`) : null;
    const tenth = (from: number, to: number): void => {
      const sorted = finite(now.values).sort();
      const [low, high] = [quantile(sorted, from), quantile(sorted, to)];
      const indices: number[] = [];
      now.values.forEach((value, i) => {
        if (value >= low && value <= high) indices.push(i);
      });
      app.set({ selection: indices }, "selection");
    };
    const ends = [
      button("Lowest tenth", () => tenth(0, 0.1), { class: "quiet" }),
      button("Highest tenth", () => tenth(0.9, 1), { class: "quiet" }),
    ];
    return [
      h(
        "span",
        { class: "ramp" },
        h("span", {}, show(now.low, 3)),
        h("i", { style: `background:${rampStyle()}` }),
        h("span", {}, show(now.high, 3)),
      ),
      ...ends,
      missing,
    ];
  }
  const pick = (bin: number): void => {
    const indices: number[] = [];
    now.bins.forEach((one, i) => {
      if (one === bin) indices.push(i);
    });
    app.set({ selection: indices }, "selection");
  };
  const names = [...now.levels, "none"];
  const shown = names
    .map((name, bin) => ({ name, bin, n: now.counts[bin] }))
    .filter((one) => one.n > 0)
    .slice(0, 24);
  return shown.map(({ name, bin, n }) =>
    h(
      "button",
      { type: "button", title: `Select ${count(n, "point")}`, onclick: () => pick(bin) },
      h("i", { style: `background:${now.palette[bin]}` }),
      name,
      h("small", {}, show(n)),
    ),
  );
}

function selectionBar(app: App): (Node | string)[] {
  const { selection, a, b } = app.state;
  const group = (key: "a" | "b"): void => {
    app.set({ [key]: selection, selection: [] }, "groups", "selection");
    app.open("walk");
  };
  return [
    h("b", {}, `${count(selection.length, "point")} selected`),
    button("Look", () => {
      app.look(selection[0]);
      app.open("point");
    }),
    button(a.length ? "Group A again" : "Group A", () => group("a")),
    button(b.length ? "Group B again" : "Group B", () => group("b")),
    button("Clear", () => app.set({ selection: [] }, "selection"), { class: "quiet" }),
  ];
}

function goTo(app: App): HTMLElement {
  const input = h("input", {
    type: "number",
    min: 0,
    max: app.about.rows - 1,
    step: 1,
    placeholder: "row",
    "aria-label": "Go to row",
    inputmode: "numeric",
  });
  return h(
    "form",
    {
      class: "goto",
      onsubmit: (event: Event) => {
        event.preventDefault();
        const index = Number(input.value);
        if (input.value !== "" && Number.isInteger(index) && index >= 0 && index < app.about.rows) app.look(index, "point");
        else app.fail(new Error(`there is no row ${input.value || "“”"}: rows go from 0 to ${app.about.rows - 1}`));
      },
    },
    input,
    h("button", { type: "submit", class: "quiet" }, "Go"),
  );
}

function help(): HTMLElement {
  return h(
    "details",
    { class: "help" },
    h("summary", {}, "Keys"),
    h(
      "dl",
      {},
      KEYS.map(([key, what]) => h("div", {}, h("dt", {}, key), h("dd", {}, what))),
    ),
  );
}

const STEPS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function keyboard(app: App, plot: NonNullable<ReturnType<typeof scatter>>, points: () => Float32Array | null): void {
  const { canvas } = plot;
  canvas.setAttribute(
    "aria-label",
    `Map of ${count(app.about.rows, "point")}. Arrow keys go from point to point, plus and minus zoom, Enter opens.`,
  );
  const drag = (dx: number, dy: number): void => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const send = (type: string, at: [number, number], target: EventTarget, buttons: number) =>
      target.dispatchEvent(new MouseEvent(type, { clientX: at[0], clientY: at[1], buttons, bubbles: true, view: window }));
    send("mousemove", [x, y], window, 0);
    send("mousedown", [x, y], canvas, 1);
    requestAnimationFrame(() => {
      send("mousemove", [x - 48 * dx, y + 48 * dy], window, 1);
      requestAnimationFrame(() => send("mouseup", [x - 48 * dx, y + 48 * dy], window, 0));
    });
  };
  const zoom = (deltaY: number): void => {
    const box = canvas.getBoundingClientRect();
    const spot = app.state.point === null ? null : plot.place(app.state.point);
    const [x, y] = spot ?? [box.width / 2, box.height / 2];
    const [clientX, clientY] = [box.left + x, box.top + y];
    canvas.dispatchEvent(new MouseEvent("mouseenter", { clientX, clientY }));
    window.dispatchEvent(new MouseEvent("mousemove", { clientX, clientY }));
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY, clientX, clientY, cancelable: true }));
  };
  const actions: Record<string, () => void> = {
    "+": () => zoom(-240),
    "=": () => zoom(-240),
    "-": () => zoom(240),
    "0": () => plot.reset(),
    Enter: () => app.open("point"),
    Escape: () => app.set({ selection: [] }, "selection"),
    "1": () => app.set({ from: app.state.point }, "ends"),
    "2": () => app.set({ to: app.state.point }, "ends"),
  };
  canvas.addEventListener("keydown", (event) => {
    plot.element.querySelector<HTMLElement>(".tip")!.hidden = true;
    const step = STEPS[event.key];
    const xy = points();
    if (step && event.shiftKey) drag(...step);
    else if (step && xy) {
      const next = app.state.point === null ? 0 : nextIn(xy, app.state.point, ...step);
      if (next !== null) {
        app.look(next);
        app.say(app.name(next));
      }
    } else if (event.key in actions && !event.ctrlKey && !event.metaKey) actions[event.key]();
    else return;
    event.preventDefault();
  });
}
