"""The script of the page: it only adds to what the page shows without it."""

SCRIPT = r"""
(() => {
"use strict";
document.documentElement.classList.add("live");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const tip = document.querySelector(".tip");
const SIDE = 1000;

const showTip = (event, parts) => {
  tip.replaceChildren(...parts);
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), room = document.documentElement.clientWidth - 8;
  const left = event.clientX + 16 + box.width > room ? event.clientX - 16 - box.width : event.clientX + 16;
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = Math.max(8, Math.min(event.clientY + 12, innerHeight - box.height - 8)) + "px";
};
const hideTip = () => { tip.hidden = true; };
const element = (name, text) => Object.assign(document.createElement(name), {textContent: text});

// Maps ---------------------------------------------------------------------------------------------------------------------------
const holder = document.getElementById("groups");
const groups = holder ? JSON.parse(holder.textContent) : [];
const sheets = all("img.sheet");

const readPoints = (figure) => {
  const of = groups[+figure.dataset.groups], next = {}, found = {};
  for (const path of all("svg path", figure)) {
    found[path.dataset.class] = path.getAttribute("d").slice(1).split("M").map((step) => step.slice(0, -2).split(" ").map(Number));
  }
  return of.map((group) => group < -1 ? null : found[group][next[group] = (next[group] ?? -1) + 1]);
};

const thumbnail = (sheet, row) => {
  const {columns, width, height, stride} = Object.fromEntries(Object.entries(sheet.dataset).map(([key, value]) => [key, +value]));
  if (row % stride || !sheet.complete) return [];
  const index = row / stride, canvas = document.createElement("canvas");
  const times = Math.max(1, Math.round(96 / Math.max(width, height)));
  canvas.width = width * times;
  canvas.height = height * times;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, index % columns * width, Math.floor(index / columns) * height, width, height, 0, 0, canvas.width, canvas.height);
  return [canvas];
};

const maps = all("figure.map").map((figure) => {
  const svg = figure.querySelector("svg");
  return {figure, svg, points: null, ring: svg.querySelector(".ring"), view: {x: 0, y: 0, size: SIDE},
    names: JSON.parse(figure.dataset.names), stride: +figure.dataset.stride, of: groups[+figure.dataset.groups]};
});
const pointsOf = (map) => map.points ??= readPoints(map.figure);
const moveRing = (map, row) => {
  const point = row === null || row % map.stride ? null : pointsOf(map)[row / map.stride];
  const [x, y] = point ?? [-99, -99];
  map.ring.setAttribute("cx", x);
  map.ring.setAttribute("cy", y);
};
const peers = (map) => maps.filter((other) => other.of.length === map.of.length && other.stride === map.stride);

const setView = (map, x, y, size) => {
  map.view = {x, y, size};
  map.svg.setAttribute("viewBox", `${x} ${y} ${size} ${size}`);
  map.ring.setAttribute("r", 14 * size / SIDE);
  for (const tag of all(".tag", map.figure)) {
    const left = (+tag.dataset.x - x) / size, top = (+tag.dataset.y - y) / size;
    tag.style.left = left * 100 + "%";
    tag.style.top = top * 100 + "%";
    tag.hidden = Math.min(left, top) < 0 || Math.max(left, top) > 1;
  }
};
const place = (map, event) => {
  const box = map.svg.getBoundingClientRect(), scale = map.view.size / box.width;
  return {x: map.view.x + (event.clientX - box.left) * scale, y: map.view.y + (event.clientY - box.top) * scale, scale};
};
const nearest = (map, event) => {
  const {x, y, scale} = place(map, event);
  const dimmed = new Set(all("path.dim", map.svg).map((path) => +path.dataset.class));
  let best = -1, least = (18 * scale) ** 2;
  pointsOf(map).forEach((point, index) => {
    if (!point || dimmed.has(map.of[index])) return;
    const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
    if (distance < least) { least = distance; best = index; }
  });
  return best;
};
const look = (map, event) => {
  const index = nearest(map, event);
  if (index < 0) return leave(map);
  const row = index * map.stride, sheet = sheets[map.figure.dataset.sheet ?? -1], group = map.of[index];
  peers(map).forEach((other) => moveRing(other, row));
  const label = map.names.length ? [element("b", group < 0 ? "no label" : map.names[group])] : [];
  showTip(event, [...(sheet ? thumbnail(sheet, row) : []), ...label, element("span", "row " + (row + 1).toLocaleString("en"))]);
};
const leave = (map) => { hideTip(); peers(map).forEach((other) => moveRing(other, null)); };

const enlarge = (map, on) => {
  map.figure.classList.toggle("big", on);
  map.figure.querySelector(".enlarge").textContent = on ? "Close" : "Enlarge";
  if (!on) setView(map, 0, 0, SIDE);
};
for (const map of maps) {
  let held = null;
  const isBig = () => map.figure.classList.contains("big");
  map.svg.addEventListener("pointermove", (event) => {
    if (!held) return look(map, event);
    const {scale} = place(map, event);
    setView(map, held.view.x - (event.clientX - held.x) * scale, held.view.y - (event.clientY - held.y) * scale, map.view.size);
  });
  map.svg.addEventListener("pointerdown", (event) => {
    look(map, event);
    if (!isBig() || event.pointerType === "touch") return;
    held = {x: event.clientX, y: event.clientY, view: map.view};
    map.svg.setPointerCapture(event.pointerId);
  });
  for (const end of ["pointerup", "pointercancel"]) map.svg.addEventListener(end, () => { held = null; });
  map.svg.addEventListener("pointerleave", () => leave(map));
  map.svg.addEventListener("dblclick", () => setView(map, 0, 0, SIDE));
  map.svg.addEventListener("wheel", (event) => {
    if (!isBig()) return;
    event.preventDefault();
    const {x, y} = place(map, event), size = Math.min(SIDE, Math.max(20, map.view.size * 1.0015 ** event.deltaY));
    const share = size / map.view.size;
    size === SIDE ? setView(map, 0, 0, SIDE) : setView(map, x - (x - map.view.x) * share, y - (y - map.view.y) * share, size);
  }, {passive: false});
  map.figure.querySelector(".enlarge").addEventListener("click", () => {
    const on = !isBig();
    maps.forEach((other) => enlarge(other, on && other === map));
    map.figure.scrollIntoView({block: "nearest"});
  });
}
addEventListener("keydown", (event) => { if (event.key === "Escape") maps.forEach((map) => enlarge(map, false)); });

for (const atlas of all(".atlas")) {
  const buttons = all(".legend button", atlas);
  let pinned = null;
  const only = (group) => {
    for (const marked of all(".plot [data-class]", atlas)) marked.classList.toggle("dim", group !== null && marked.dataset.class !== group);
    buttons.forEach((button) => button.setAttribute("aria-pressed", button.dataset.class === pinned));
  };
  for (const button of buttons) {
    button.addEventListener("click", () => { pinned = pinned === button.dataset.class ? null : button.dataset.class; only(pinned); });
    button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") only(pinned ?? button.dataset.class); });
    button.addEventListener("pointerleave", () => only(pinned));
  }
}

// Learning curves ----------------------------------------------------------------------------------------------------------------
const short = (value) => value === null ? "—" : value.toLocaleString("en", {maximumSignificantDigits: 4});
for (const figure of all("figure.curve")) {
  const rows = JSON.parse(figure.dataset.rows), svg = figure.querySelector("svg"), readout = figure.querySelector(".readout");
  const cursor = figure.querySelector(".cursor"), {top, bottom} = figure.dataset, wide = svg.viewBox.baseVal.width;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * wide / box.width;
    const [pixel, step, train, held] = rows.reduce((best, row) => Math.abs(row[0] - x) < Math.abs(best[0] - x) ? row : best);
    cursor.setAttribute("d", `M${pixel} ${top}V${bottom}`);
    readout.textContent = `step ${short(step)}: train ${short(train)}, held out ${short(held)}`;
  });
  svg.addEventListener("pointerleave", () => { cursor.removeAttribute("d"); readout.textContent = ""; });
}

// Commands -----------------------------------------------------------------------------------------------------------------------
const copyOld = (code) => {
  const range = document.createRange();
  range.selectNodeContents(code);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return document.execCommand("copy");
};
for (const button of all(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try { await navigator.clipboard.writeText(code.textContent); } catch { copyOld(code); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
})();
"""
