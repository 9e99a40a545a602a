/** Walks between two points, and what tells two groups apart as a vector to add. */

import type { App } from "../app.ts";
import type { Attribute, Content, Decoded, Point, Way } from "../backend/types.ts";
import { along } from "../math/space.ts";
import { count, percent, show } from "../math/numbers.ts";
import { cellsOf, compare, frame, mostChanged, small } from "../ui/content.ts";
import { arrows, button, choice, h, latest, replace, slider } from "../ui/dom.ts";

export function walkView(app: App): HTMLElement {
  return h("div", { class: "view" }, between(app), attribute(app));
}

/** A slot for a row: filled from the point that is chosen on the map. */
function slot(app: App, title: string, key: "from" | "to"): HTMLElement {
  const box = h("div", { class: "slot" });
  const paint = (): void => {
    const index = app.state[key];
    const put = button(
      index === null ? "Use the chosen point" : "Change",
      () => {
        if (app.state.point !== null) app.set({ [key]: app.state.point }, "ends");
      },
      { class: index === null ? "" : "quiet", "aria-label": `${title}: use the chosen point` },
    );
    replace(box, h("b", {}, title), index === null ? null : app.row(index), put);
  };
  app.on("ends", paint);
  paint();
  return box;
}

function between(app: App): HTMLElement {
  const { state, about } = app;
  const strip = h("div", { class: `strip of-${about.kind}` });
  const big = frame(about.columns, "A step of the walk");
  const stage = h("div", { class: `stage of-${about.kind}`, hidden: true }, big.element);
  let way: Way = "linear";
  let steps = 9;
  let items: Content[] = [];
  let timer = 0;

  const at = slider("Step", "Step of the walk", {
    low: 0,
    high: 1,
    step: 0.01,
    value: 0,
    text: (t) => percent(t, 0),
    moved: (t) => show_(t),
  });
  const show_ = (t: number): void => {
    const step = Math.round(t * (items.length - 1));
    if (items[step]) big.set(items[step]);
    strip.querySelectorAll("button").forEach((one, i) => one.setAttribute("aria-pressed", String(i === step)));
  };
  const put = (found: Decoded): void => {
    items = found.items;
    const changed = mostChanged(items, 4);
    const names = changed.map((i) => h("span", {}, cellsOf(items[0])?.[i].name ?? ""));
    const sight = (item: Content): Element =>
      changed.length
        ? h(
            "span",
            { class: "few" },
            changed.map((i) => h("span", {}, cellsOf(item)?.[i].text ?? "")),
          )
        : small(item);
    replace(
      strip,
      changed.length ? h("span", { class: "few names" }, names) : null,
      items.map((item, i) =>
        h(
          "button",
          {
            type: "button",
            "aria-pressed": "false",
            "aria-label": `Step ${i + 1} of ${items.length}`,
            onclick: () => {
              at.set(i / (items.length - 1));
              show_(i / (items.length - 1));
            },
          },
          sight(item),
        ),
      ),
    );
    stage.hidden = at.row.hidden = play.hidden = false;
    strip.dataset.steps = String(items.length);
    show_(Number(at.input.value));
  };
  const load = latest((wanted: [number, number, number, Way]) => app.backend.interpolate(...wanted), put, app.fail);
  const fresh = (): void => {
    if (state.from !== null && state.to !== null) load([state.from, state.to, steps, way]);
  };
  const halt = (): void => {
    cancelAnimationFrame(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const run = (): void => {
    const start = performance.now();
    const tick = (now: number): void => {
      const phase = ((now - start) / 2400) % 2;
      const t = phase < 1 ? phase : 2 - phase;
      at.set(t);
      show_(t);
      if (state.tab === "walk") timer = requestAnimationFrame(tick);
      else halt();
    };
    timer = requestAnimationFrame(tick);
    play.textContent = "Pause";
  };
  const play = button("Play", () => (timer ? halt() : run()), { class: "play" });
  stage.hidden = at.row.hidden = play.hidden = true;
  arrows(strip);
  app.on("ends", fresh);
  const swap = button("Swap", () => app.set({ from: state.to, to: state.from }, "ends"), { class: "quiet" });
  return h(
    "section",
    {},
    h("h2", {}, "Walk between two points"),
    h("p", { class: "hint" }, "Click a point on the map, then say which end it is. Keys 1 and 2 do the same."),
    h("div", { class: "slots" }, slot(app, "From", "from"), slot(app, "To", "to"), swap),
    h(
      "div",
      { class: "actions" },
      choice(
        "Way",
        [
          ["linear", "Straight"],
          ["spherical", "Along the sphere"],
        ] as const,
        way,
        (value) => {
          way = value;
          fresh();
        },
      ),
      choice(
        "Steps",
        [
          ["5", "5"],
          ["9", "9"],
          ["17", "17"],
        ] as const,
        "9",
        (value) => {
          steps = Number(value);
          fresh();
        },
      ),
    ),
    strip,
    h("div", { class: "player" }, play, at.row),
    stage,
  );
}

function groupSlot(app: App, key: "a" | "b"): HTMLElement {
  const box = h("div", { class: "slot" });
  const paint = (): void => {
    const members = app.state[key];
    const { selection } = app.state;
    const name = `Group ${key.toUpperCase()}`;
    replace(
      box,
      h("b", {}, name),
      members.length ? h("span", {}, count(members.length, "point")) : h("span", { class: "muted" }, "empty"),
      members.length && app.about.kind === "picture"
        ? h(
            "span",
            { class: "peek" },
            members.slice(0, 4).map((index) => app.thumb(index)),
          )
        : null,
      selection.length
        ? button(`Use the ${show(selection.length)} selected`, () => app.set({ [key]: selection, selection: [] }, "groups", "selection"))
        : null,
    );
  };
  app.on("groups", paint);
  app.on("selection", paint);
  paint();
  return box;
}

function attribute(app: App): HTMLElement {
  const { state, about, backend } = app;
  const facts = h("p", { class: "muted" });
  const pair = h("div", { hidden: true, class: "edit" });
  let found: Attribute | null = null;
  let base: Point | null = null;

  const decode = latest(
    async (code: number[]) => (await backend.decode([code], false, 0))[0],
    (item: Content) => {
      if (!base) return;
      replace(pair, compare(base.reconstruction, item, null, about.columns, [`row ${show(base.index)}`, "edited"]));
      pair.dataset.decoded = String(Number(pair.dataset.decoded ?? 0) + 1);
    },
    app.fail,
  );
  const strength = slider("Strength", "Strength of the attribute", {
    low: -2,
    high: 2,
    step: 0.05,
    value: 1,
    text: (value) => show(value),
    moved: () => apply(),
  });
  const apply = (): void => {
    if (found && base) decode(along(base.code, found.vector, Number(strength.input.value)));
  };
  const source = latest(
    (index: number) => backend.point(index),
    (point) => {
      base = point;
      pair.hidden = strength.row.hidden = !found;
      apply();
    },
    app.fail,
  );
  const load = latest(
    (groups: [number[], number[]]) => backend.attribute(...groups),
    (attribute_) => {
      found = attribute_;
      facts.textContent = `From A to B the code moves by ${show(found.norm, 3)}${found.separation === null ? "" : `; along it the groups lie ${show(found.separation, 3)} standard deviations apart`}. At strength 1 a point of A gets what B has; below 0 it loses it.`;
      if (state.point !== null) source(state.point);
    },
    app.fail,
  );
  app.on("groups", () => {
    if (state.a.length && state.b.length) load([state.a, state.b]);
  });
  app.on("point", () => {
    if (found && state.tab === "walk" && state.point !== null) source(state.point);
  });
  app.on("tab", () => {
    if (found && state.tab === "walk" && state.point !== null && state.point !== base?.index) source(state.point);
  });
  strength.row.hidden = true;
  return h(
    "section",
    {},
    h("h2", {}, "Edit by two groups"),
    h(
      "p",
      { class: "hint" },
      "Lasso two groups, or click two names of the legend. Their difference becomes a direction to push any point along.",
    ),
    h("div", { class: "slots" }, groupSlot(app, "a"), groupSlot(app, "b")),
    facts,
    strength.row,
    pair,
  );
}
