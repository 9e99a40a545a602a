/** Small helpers to build the page. */

export type Child = Node | string | number | null | undefined | false | Child[];
type Value = string | number | boolean | null | undefined | ((event: never) => void);
export type Props = Record<string, Value>;

function put(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

function fill(element: Element, children: Child[]): void {
  for (const child of children.flat(4) as Child[]) {
    if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
}

/** Build an HTML element: `onclick` and the like are listeners, the rest attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  put(element, props);
  fill(element, children);
  return element;
}

/** Build an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  put(element, props);
  fill(element, children);
  return element;
}

export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  fill(element, children);
}

export const button = (text: Child, click: () => void, props: Props = {}): HTMLButtonElement =>
  h("button", { type: "button", onclick: click, ...props }, text);

/** A choice among a few, as buttons of which one is pressed. */
export function choice<T extends string>(
  label: string,
  options: readonly (readonly [T, string])[],
  chosen: T,
  picked: (value: T) => void,
): HTMLElement {
  const buttons = options.map(([value, text]) =>
    button(
      text,
      () => {
        mark(value);
        picked(value);
      },
      { "aria-pressed": String(value === chosen), "data-value": value },
    ),
  );
  const mark = (value: T): void => buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.value === value)));
  return h("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}

export function select(
  label: string,
  options: readonly (readonly [string, string])[],
  chosen: string,
  picked: (value: string) => void,
): HTMLLabelElement {
  const control = h(
    "select",
    { onchange: () => picked(control.value) },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
  return h("label", { class: "field" }, h("span", {}, label), control);
}

export interface Slider {
  row: HTMLElement;
  input: HTMLInputElement;
  set(value: number): void;
}

interface SliderOptions {
  low: number;
  high: number;
  step: number;
  value: number;
  text?: (value: number) => string;
  moved: (value: number) => void;
}

/** A labelled slider with its value beside it; arrow keys move it by one step, Page Up and Down by ten. */
export function slider(label: Child, name: string, { low, high, step, value, text = String, moved }: SliderOptions): Slider {
  const output = h("output", {}, text(value));
  const input = h("input", { type: "range", min: low, max: high, step, value, "aria-label": name, "aria-valuetext": text(value) });
  const paint = (): void => {
    const now = Number(input.value);
    output.textContent = text(now);
    input.setAttribute("aria-valuetext", text(now));
    input.style.setProperty("--at", String((now - low) / (high - low || 1)));
  };
  input.addEventListener("input", () => {
    paint();
    moved(Number(input.value));
  });
  const set = (to: number): void => {
    input.value = String(to);
    paint();
  };
  paint();
  return { row: h("label", { class: "slider" }, h("span", { class: "slider-name" }, label), input, output), input, set };
}

/** Arrow keys, Home and End walk through the buttons inside `list`. */
export function arrows(list: HTMLElement, selector = "button"): void {
  list.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll<HTMLElement>(selector)];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowRight: at + 1,
      ArrowUp: at - 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: items.length - 1,
    };
    if (at < 0 || !(event.key in to)) return;
    event.preventDefault();
    items[Math.max(0, Math.min(items.length - 1, to[event.key]))].focus();
  });
}

/** Work asked for faster than it is done: one piece at a time, and of those waiting only the newest. */
export function latest<A, R>(
  work: (wanted: A) => Promise<R>,
  done: (result: R, wanted: A) => void,
  failed: (error: unknown) => void,
): (wanted: A) => void {
  let running = false;
  let waiting: { wanted: A } | null = null;
  const go = async (wanted: A): Promise<void> => {
    running = true;
    try {
      done(await work(wanted), wanted);
    } catch (error) {
      failed(error);
    }
    running = false;
    const next = waiting;
    waiting = null;
    if (next) void go(next.wanted);
  };
  return (wanted) => {
    if (running) waiting = { wanted };
    else void go(wanted);
  };
}

/** Read a colour of the style sheet. */
export const ink = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
