/** The page around the views: head, tabs, theme. */

import "./style.css";
import { App } from "./app.ts";
import type { About, Backend } from "./backend/types.ts";
import { count, show } from "./math/numbers.ts";
import { arrows, button, h, replace, svg } from "./ui/dom.ts";
import { anomaliesView } from "./views/anomalies.ts";
import { liveView } from "./views/live.ts";
import { mapView } from "./views/map.ts";
import { pointView } from "./views/point.ts";
import { slidersView } from "./views/sliders.ts";
import { walkView } from "./views/walk.ts";

const LOGO = "M2 2C22 2 22 17 32 17S42 2 62 2V38C42 38 42 23 32 23S22 38 2 38Z";
const THEMES = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" } as const;
const SIGNS = { auto: "◐", light: "☼", dark: "☾" } as const;
type Theme = keyof typeof THEMES;

function kept(): Theme {
  try {
    const found = localStorage.getItem("isthmus-theme");
    return found === "light" || found === "dark" ? found : "auto";
  } catch {
    return "auto";
  }
}

function keep(theme: Theme): void {
  document.documentElement.dataset.theme = theme === "auto" ? "" : theme;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem("isthmus-theme", theme);
  } catch {
    // A page opened from a file may have no storage: the theme then lasts as long as the page.
  }
}

function themeButton(changed: () => void): HTMLButtonElement {
  let theme = kept();
  const next: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
  const one = button(
    "",
    () => {
      theme = next[theme];
      keep(theme);
      paint();
      changed();
    },
    { class: "theme" },
  );
  const paint = (): void => {
    one.textContent = SIGNS[theme];
    one.title = THEMES[theme];
    one.setAttribute("aria-label", THEMES[theme]);
  };
  keep(theme);
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  return one;
}

function head(about: About, changed: () => void, exported: boolean): HTMLElement {
  const facts = [about.family];
  if (about.rows && !about.live)
    facts.push(
      about.rows_total && about.rows_total > about.rows
        ? `${show(about.rows)} of ${count(about.rows_total, "row")}`
        : count(about.rows, "row"),
    );
  if (about.code?.size) facts.push(`${count(about.code.size, "code dimension")}`);
  if (about.live) facts.push("training now");
  if (exported) facts.push("one file, models inside");
  return h(
    "header",
    { class: "top" },
    svg("svg", { class: "logo", viewBox: "0 0 64 40", "aria-hidden": "true" }, svg("path", { d: LOGO })),
    h("div", { class: "title" }, h("h1", {}, about.name), h("p", {}, facts.join(" · "))),
    themeButton(changed),
  );
}

interface Tab {
  id: string;
  name: string;
  element: HTMLElement;
}

function tabs(app: App): HTMLElement {
  const list: Tab[] = [
    { id: "point", name: "Point", element: pointView(app) },
    { id: "sliders", name: "Sliders", element: slidersView(app) },
    { id: "walk", name: "Walk", element: walkView(app) },
  ];
  if (app.about.anomalies) list.push({ id: "anomalies", name: "Anomalies", element: anomaliesView(app) });
  const heads = list.map((tab) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${tab.id}`,
        "aria-controls": `view-${tab.id}`,
        onclick: () => app.open(tab.id),
        onfocus: () => {
          if (app.state.tab !== tab.id) app.open(tab.id);
        },
      },
      tab.name,
    ),
  );
  const bodies = list.map((tab) => h("div", { role: "tabpanel", id: `view-${tab.id}`, "aria-labelledby": `tab-${tab.id}` }, tab.element));
  const paint = (): void =>
    list.forEach((tab, i) => {
      const open = tab.id === app.state.tab;
      heads[i].setAttribute("aria-selected", String(open));
      heads[i].tabIndex = open ? 0 : -1;
      bodies[i].hidden = !open;
    });
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, heads);
  arrows(bar);
  app.on("tab", paint);
  paint();
  return h("section", { class: "side" }, bar, bodies);
}

/** Ask the backend what there is and build the page for it. */
export async function start(open: () => Promise<Backend> | Backend): Promise<void> {
  const root = document.getElementById("app")!;
  try {
    replace(root, h("p", { class: "loading", role: "status" }, "Opening the model …"));
    const backend = await open();
    const about = await backend.about();
    const app = new App(backend, about);
    document.title = `${about.name} · isthmus`;
    const changed = (): void => app.tell("theme");
    replace(root, head(about, changed, backend.exported), app.banner, app.status, about.live ? liveView(app) : explorer(app));
  } catch (error) {
    replace(
      root,
      h(
        "main",
        { class: "failed", role: "alert" },
        h("h1", {}, "The explorer cannot open"),
        h("p", {}, error instanceof Error ? error.message : String(error)),
      ),
    );
  }
}

function explorer(app: App): HTMLElement {
  const side = tabs(app);
  return h("main", { class: "explorer" }, mapView(app), side);
}
