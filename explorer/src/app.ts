/** What all views share: the backend, the chosen point, the selection, the groups, and how failures are told. */

import { Trouble } from "./backend/types.ts";
import type { About, Backend, Content, Sheet } from "./backend/types.ts";
import type { Colouring } from "./ui/colours.ts";
import { small } from "./ui/content.ts";
import { h } from "./ui/dom.ts";

export type Topic = "point" | "selection" | "groups" | "ends" | "code" | "theme" | "tab";

export interface State {
  point: number | null;
  selection: number[];
  a: number[];
  b: number[];
  from: number | null;
  to: number | null;
  /** The code under the sliders. */
  code: number[] | null;
  tab: string;
}

export class App {
  readonly backend: Backend;
  readonly about: About;
  readonly state: State = { point: null, selection: [], a: [], b: [], from: null, to: null, code: null, tab: "point" };
  readonly banner = h("div", { class: "banner", role: "alert" });
  readonly status = h("p", { class: "sr", role: "status", "aria-live": "polite" });
  private readonly listeners = new Map<Topic, (() => void)[]>();
  private readonly known = new Map<number, Content>();
  private wanted = new Map<number, ((content: Content) => void)[]>();
  sheet: Sheet | null = null;
  private readonly sheetRead: Promise<void>;
  labels: { levels: string[]; values: Float32Array } | null = null;
  /** Set by the map: other colours for a while (null: the chosen ones again). */
  paint: (colouring: Colouring | null) => void = () => undefined;

  constructor(backend: Backend, about: About) {
    this.backend = backend;
    this.about = about;
    this.banner.hidden = true;
    this.sheetRead =
      about.kind === "picture" && !about.live
        ? backend.sheet().then((sheet) => {
            this.sheet = sheet;
          }, this.fail)
        : Promise.resolve();
  }

  on(topic: Topic, heard: () => void): void {
    this.listeners.set(topic, [...(this.listeners.get(topic) ?? []), heard]);
  }

  set(change: Partial<State>, ...topics: Topic[]): void {
    Object.assign(this.state, change);
    for (const topic of topics) for (const heard of this.listeners.get(topic) ?? []) heard();
  }

  tell(topic: Topic): void {
    this.set({}, topic);
  }

  look(index: number, tab?: string): void {
    this.set({ point: index }, "point");
    if (tab) this.open(tab);
  }

  open(tab: string): void {
    this.set({ tab }, "tab");
  }

  say(text: string): void {
    this.status.textContent = text;
  }

  fail = (error: unknown): void => {
    const text =
      error instanceof Trouble
        ? error.message
        : `Something went wrong in the page: ${error instanceof Error ? error.message : String(error)}`;
    const lasting = error instanceof Trouble && error.lasting;
    const mend = lasting
      ? h("button", { type: "button", onclick: () => location.reload() }, "Try again")
      : h(
          "button",
          {
            type: "button",
            onclick: () => {
              this.banner.hidden = true;
            },
          },
          "Close",
        );
    this.banner.replaceChildren(h("span", {}, text), mend);
    this.banner.hidden = false;
  };

  label(index: number): string | null {
    const level = this.labels?.values[index];
    return level === undefined || !Number.isFinite(level) ? null : (this.labels?.levels[level] ?? null);
  }

  name(index: number): string {
    const label = this.label(index);
    return `Row ${index.toLocaleString("en")}${label === null ? "" : `, ${label}`}`;
  }

  /** The input of a row; what is asked for at one moment travels together. */
  input(index: number): Promise<Content> {
    const known = this.known.get(index);
    if (known) return Promise.resolve(known);
    if (this.wanted.size === 0) setTimeout(() => void this.fetchWanted(), 10);
    return new Promise((resolve) => this.wanted.set(index, [...(this.wanted.get(index) ?? []), resolve]));
  }

  private async fetchWanted(): Promise<void> {
    const asked = [...this.wanted];
    this.wanted = new Map();
    try {
      for (let at = 0; at < asked.length; at += 64) await this.fetchInputs(asked.slice(at, at + 64));
    } catch (error) {
      this.fail(error);
    }
  }

  private async fetchInputs(asked: [number, ((content: Content) => void)[]][]): Promise<void> {
    const items = await this.backend.inputs(asked.map(([index]) => index));
    if (this.known.size > 4000) this.known.clear();
    asked.forEach(([index, waiting], i) => {
      this.known.set(index, items[i]);
      for (const resolve of waiting) resolve(items[i]);
    });
  }

  /** A small view of a row: its tile of the sheet, or what the backend sends. */
  thumb(index: number): HTMLElement {
    const box = h("span", { class: `thumb of-${this.about.kind}`, "aria-hidden": "true" });
    if (this.sheet) this.fillThumb(box, index);
    else void this.sheetRead.then(() => this.fillThumb(box, index));
    return box;
  }

  /** Pictures show themselves and are called by their label; other rows by their number. */
  private called(index: number): (HTMLElement | string)[] {
    const label = this.label(index);
    const number = h("small", { class: "row-number" }, `row ${index.toLocaleString("en")}`);
    if (this.about.kind === "picture") return label === null ? [String(index)] : [label, number];
    return label === null ? [`Row ${index.toLocaleString("en")}`] : [`Row ${index.toLocaleString("en")}`, h("small", {}, label)];
  }

  private fillThumb(box: HTMLElement, index: number): void {
    if (this.sheet && index < this.sheet.count) tile(box, this.sheet, index);
    else void this.input(index).then((content) => box.replaceChildren(small(content)));
  }

  /** A button that opens a row. */
  row(index: number, ...more: (Node | string | null)[]): HTMLButtonElement {
    return h(
      "button",
      { type: "button", class: "row", "data-index": index, "aria-label": this.name(index), onclick: () => this.look(index) },
      this.thumb(index),
      h("span", { class: "row-name" }, ...this.called(index)),
      ...more,
    );
  }
}

function tile(box: HTMLElement, sheet: Sheet, index: number): void {
  const [height, width] = sheet.size;
  const rows = Math.ceil(sheet.count / sheet.columns);
  const [row, column] = [Math.floor(index / sheet.columns), index % sheet.columns];
  const share = (at: number, of: number): number => (of > 1 ? (100 * at) / (of - 1) : 0);
  box.classList.add("tile");
  box.style.aspectRatio = `${width} / ${height}`;
  box.style.backgroundImage = `url("${sheet.url}")`;
  box.style.backgroundSize = `${100 * sheet.columns}% ${100 * rows}%`;
  box.style.backgroundPosition = `${share(column, sheet.columns)}% ${share(row, rows)}%`;
}
