/** Every dimension of the code as a slider, decoded as it moves. */

import type { App } from "../app.ts";
import type { Content, Dimension } from "../backend/types.ts";
import { show } from "../math/numbers.ts";
import { frame } from "../ui/content.ts";
import { button, choice, h, latest, slider } from "../ui/dom.ts";
import type { Slider } from "../ui/dom.ts";

const FIRST = 12;

/** A range wide enough for the dimension's own values and the value it has now. */
const range = (dim: Dimension): [number, number] => {
  const [low, high] = dim.high > dim.low ? [dim.low, dim.high] : [dim.mean - 1, dim.mean + 1];
  const room = 0.15 * (high - low);
  return [low - room, high + room];
};

const amount = (dim: Dimension): string => (dim.carries >= 0.05 ? dim.carries.toFixed(dim.carries < 10 ? 1 : 0) : show(dim.carries, 1));

export function slidersView(app: App): HTMLElement {
  const { about, backend, state } = app;
  const { dims, order } = about.code;
  const means = dims.map((dim) => dim.mean);
  const picture = frame(about.columns, "What the code decodes to");
  const note = h("p", { class: "muted note" });
  let seed = 1;
  let draw = false;

  const decode = latest(
    async (code: number[]) => (await backend.decode([code], draw, seed))[0],
    (content: Content) => {
      picture.set(content);
      picture.element.dataset.decoded = String(Number(picture.element.dataset.decoded ?? 0) + 1);
    },
    app.fail,
  );
  const most = Math.max(...dims.map((dim) => dim.carries), 1e-12);
  const rows: Slider[] = order.map((index) => {
    const dim = dims[index];
    const [low, high] = range(dim);
    const carried = h(
      "span",
      { class: "carries", title: `carries ${amount(dim)} ${dim.unit}` },
      h("i", { style: `width:${(100 * Math.max(0, dim.carries)) / most}%` }),
    );
    const name = h("span", {}, h("b", {}, dim.name), h("small", {}, `${amount(dim)} ${dim.unit}`), carried);
    const moved = (value: number): void => {
      const code = [...(state.code ?? means)];
      code[index] = value;
      state.code = code;
      note.textContent = "";
      decode(code);
    };
    return slider(name, `${dim.name}, carries ${amount(dim)} ${dim.unit}`, {
      low,
      high,
      step: (high - low) / 200,
      value: dim.mean,
      text: (value) => value.toFixed(2).replace("-", "−"),
      moved,
    });
  });
  const put = (code: number[], said: string): void => {
    order.forEach((index, i) => rows[i].set(code[index]));
    note.textContent = said;
    state.code = code;
    decode(code);
  };
  const random = async (): Promise<void> => {
    const found = await backend.sample(1, ++seed, draw).catch((error: unknown) => void app.fail(error));
    if (!found) return;
    put(found.codes[0], `A random sample${found.density ? ` from ${found.density}` : ""}.`);
  };
  const more = h(
    "div",
    { class: "sliders", hidden: order.length > FIRST },
    rows.slice(FIRST).map((one) => one.row),
  );
  const all =
    order.length > FIRST
      ? button(`All ${order.length} dimensions`, () => {
          more.hidden = false;
          all?.remove();
          more.querySelector("input")?.focus();
        })
      : null;
  const output = about.output.draws
    ? choice(
        "Output",
        [
          ["mean", "Mean"],
          ["draw", "A draw"],
        ] as const,
        "mean",
        (value) => {
          draw = value === "draw";
          seed++;
          decode(state.code ?? means);
        },
      )
    : null;

  let shown = false;
  const fresh = (): void => {
    if (state.tab !== "sliders" || shown) return;
    shown = true;
    put(state.code ?? means, state.code ? `The code of row ${show(state.point)}.` : "The mean of all codes.");
  };
  app.on("tab", fresh);
  app.on("code", () => {
    shown = true;
    put(state.code ?? means, `The code of row ${show(state.point)}.`);
  });
  app.on("point", () => {
    if (state.tab !== "sliders" || state.point === null) return;
    void backend.point(state.point).then((point) => {
      if (state.tab === "sliders") app.set({ code: [...point.code] }, "code");
    }, app.fail);
  });
  return h(
    "div",
    { class: "view" },
    h(
      "div",
      { class: "bench" },
      h("div", { class: `stage of-${about.kind}` }, picture.element, note),
      h(
        "div",
        { class: "controls" },
        h(
          "div",
          { class: "actions" },
          button("Random sample", () => void random()),
          button("Reset", () => put([...means], "The mean of all codes.")),
          output,
        ),
        h("p", { class: "hint" }, "Ranked by how much each dimension carries. Click the map to put a point's code under the sliders."),
        h(
          "div",
          { class: "sliders" },
          rows.slice(0, FIRST).map((one) => one.row),
        ),
        all,
        more,
      ),
    ),
  );
}
