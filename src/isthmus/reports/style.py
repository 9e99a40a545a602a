"""The style of the page: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root {
  --paper: #fbfaf7; --card: #ffffff; --ink: #1c2127; --muted: #646c75; --line: #e4e2dc; --soft: #f1efea;
  --accent: #0b7a75; --accent-soft: #dff1ee; --warm: #d1632a; --shadow: 0 1px 2px #1c212714, 0 4px 16px #1c21270a;
  --k0: #3f90da; --k1: #ffa90e; --k2: #bd1f01; --k3: #94a4a2; --k4: #832db6;
  --k5: #a96b59; --k6: #e76300; --k7: #b9ac70; --k8: #717581; --k9: #5fbfcf; --k-none: #c3c1bb;
}
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1c2025; --ink: #e9e7e2; --muted: #9aa2ab; --line: #2e343b; --soft: #23282e;
  --accent: #5cc9bf; --accent-soft: #173b39; --warm: #f0935c; --shadow: none;
  --k0: #5aa5ea; --k1: #ffb938; --k2: #e8553b; --k3: #a9b8b6; --k4: #b46be0;
  --k5: #c48a79; --k6: #f58434; --k7: #cdc18a; --k8: #8d919e; --k9: #92dadd; --k-none: #4b525a;
} }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 0 clamp(16px, 4vw, 40px); max-width: 1200px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial,
    sans-serif;
  overflow-wrap: anywhere;
}
h1, h2, h3, p, figure, dl, dd { margin: 0; }
h1 { font-size: clamp(28px, 5vw, 44px); line-height: 1.12; letter-spacing: -.025em; font-weight: 680; text-wrap: balance; }
h2 { font-size: 25px; line-height: 1.2; letter-spacing: -.018em; font-weight: 660; }
h3 { font-size: 16px; font-weight: 650; letter-spacing: -.005em; }
.muted { color: var(--muted); }
header { padding: clamp(32px, 6vw, 64px) 0 24px; }
.logo { width: 48px; display: block; margin-bottom: 18px; fill: var(--accent); }
.subtitle { font-size: 19px; color: var(--muted); margin-top: 10px; max-width: 46em; }
.facts { display: flex; flex-wrap: wrap; gap: 12px 36px; margin-top: 26px; }
dt { font-size: 13px; color: var(--muted); }
.facts dd { font-weight: 560; font-variant-numeric: tabular-nums; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); gap: 14px; margin-top: 30px; }
.tile, .map, .curve, .pair figure { background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  box-shadow: var(--shadow); }
.tile { max-width: 380px; padding: 16px 18px 14px; font-size: 14px; }
.tile > span { color: var(--muted); }
.tile strong { display: block; font-size: 34px; line-height: 1.25; letter-spacing: -.02em; font-weight: 640;
  font-variant-numeric: tabular-nums; color: var(--accent); }
.tile p { display: flex; flex-wrap: wrap; gap: 0 12px; }
nav { position: sticky; top: 0; z-index: 3; display: flex; gap: 4px 22px; overflow-x: auto; padding: 12px 0; background: var(--paper);
  border-bottom: 1px solid var(--line); font-size: 14px; white-space: nowrap; scrollbar-width: none; }
nav a { color: var(--muted); text-decoration: none; }
nav a:hover { color: var(--accent); }
section { padding-top: 52px; scroll-margin-top: 8px; }
.lead { color: var(--muted); margin-top: 6px; max-width: 52em; }
h2 + :not(.lead), .lead + * { margin-top: 20px; }
.lead + .hint { margin-top: 2px; }
.atlas { margin-top: 16px; }
.models div { display: grid; grid-template-columns: 17em 1fr; gap: 2px 24px; padding: 10px 0; border-top: 1px solid var(--line);
  align-items: baseline; }
.models div:first-child { border-top: 0; padding-top: 0; }
.models b { display: block; font-size: 16px; color: var(--ink); font-weight: 650; }

.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 14px; background: var(--card); box-shadow: var(--shadow); }
table { border-collapse: collapse; width: 100%; font-size: 15px; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: 10px 18px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th, thead td { border-top: 0; font-size: 13px; font-weight: 500; color: var(--muted); vertical-align: bottom; }
thead tr + tr th { padding-top: 0; }
th[colspan] { text-align: center; font-weight: 650; color: var(--ink); }
tbody th, thead tr:last-child th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); }
tbody th { font-weight: 600; max-width: 22em; overflow: hidden; text-overflow: ellipsis; }
.figures thead th { white-space: normal; min-width: 7.5em; }
.baseline th, .baseline td { color: var(--muted); font-weight: 400; }
:not(.baseline) + .baseline > * { border-top: 2px solid var(--line); }
.best b { color: var(--accent); background: var(--accent-soft); padding: 3px 9px; margin: -3px -9px; border-radius: 7px;
  font-weight: 680; }
.bar { display: inline-block; min-width: 9em; padding: 1px 6px; border-radius: 5px;
  background: linear-gradient(to right, var(--accent-soft) var(--share), var(--soft) var(--share)); }
.plain td, .plain th { text-align: right; }
.notes, .scroll + .muted { font-size: 14px; margin-top: 12px; max-width: 62em; }
section h3:not(:first-child) { margin-top: 20px; }
section > h3 { margin-bottom: 8px; }

.strips { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 9px 20px; align-items: center; overflow-x: auto; }
.strips + .strips { border-top: 1px solid var(--line); margin-top: 22px; padding-top: 22px; }
.label { font-size: 15px; font-weight: 560; max-width: 12em; }
.label.given { color: var(--muted); font-weight: 400; }
.strips img { display: block; width: 100%; max-width: calc(var(--columns) * 86px); height: auto; border-radius: 3px; }
img.crisp, .tip canvas { image-rendering: pixelated; }

.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 14px; }
.maps.single { grid-template-columns: minmax(0, 640px); }
.map { padding: 12px 14px 14px; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 10px; font-size: 14px; }
figcaption b { font-size: 15px; }
.plot { position: relative; margin-top: 6px; }
.plot svg { display: block; width: 100%; aspect-ratio: 1; overflow: hidden; cursor: crosshair; border-radius: 8px; }
.plot path { fill: none; stroke: currentColor; stroke-width: var(--dot); stroke-linecap: round; vector-effect: non-scaling-stroke;
  transition: opacity .15s; }
.plot .dim { opacity: .07; }
.tag.dim { opacity: .2; }
.ring { fill: none; stroke: var(--ink); stroke-width: 2px; vector-effect: non-scaling-stroke; pointer-events: none; }
.tag { position: absolute; transform: translate(-50%, -50%); font-size: 13px; line-height: 1; font-weight: 720; pointer-events: none;
  color: var(--ink);
  text-shadow: 1px 1px 1px var(--card), -1px 1px 1px var(--card), 1px -1px 1px var(--card), -1px -1px 1px var(--card),
    0 0 3px var(--card), 0 0 3px var(--card), 0 0 4px var(--card), 0 0 6px var(--card); }
.atlas ~ .atlas { margin-top: 28px; }
.legend, .keys { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; font-size: 14px; }
.legend { margin-bottom: 14px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; background: currentColor; margin-right: 7px; }
.legend button { display: inline-flex; align-items: center; color: var(--ink); }
button { font: inherit; font-size: 14px; color: var(--muted); background: none; border: 1px solid var(--line); border-radius: 999px;
  padding: 2px 12px; cursor: pointer; }
button:hover, button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
html:not(.live) .enlarge, html:not(.live) .copy, html:not(.live) .hint { display: none; }
html:not(.live) .legend button { pointer-events: none; }
.enlarge { margin-left: auto; font-size: 13px; padding: 1px 10px; }
.map.big { grid-column: 1 / -1; }
.map.big .plot { width: min(100%, 84vh); margin-inline: auto; }
.map.big svg { cursor: grab; }
.k0 { color: var(--k0); } .k1 { color: var(--k1); } .k2 { color: var(--k2); } .k3 { color: var(--k3); } .k4 { color: var(--k4); }
.k5 { color: var(--k5); } .k6 { color: var(--k6); } .k7 { color: var(--k7); } .k8 { color: var(--k8); } .k9 { color: var(--k9); }
.k-none { color: var(--k-none); }
.maps .k-none:first-child:nth-last-child(2) { color: var(--accent); }
.tip { position: fixed; z-index: 9; pointer-events: none; display: flex; flex-direction: column; gap: 2px; padding: 8px 10px;
  font-size: 13px; line-height: 1.35;
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; box-shadow: 0 6px 24px #00000038; max-width: 240px; }
.tip[hidden] { display: none; }
.tip canvas { border-radius: 4px; margin-bottom: 3px; }
.tip span { color: var(--muted); }

.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 14px; align-items: start; }
.pair + .pair { margin-top: 14px; }
.pair figure { padding: 14px 16px 16px; }
.pair img { display: block; width: 100%; max-width: calc(var(--columns) * 72px); height: auto; margin: 10px auto 0; }

.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); gap: 14px; margin-top: 14px; }
.curves.single { grid-template-columns: minmax(0, 640px); }
.curve { padding: 12px 14px 6px; }
.curve figcaption span { font-size: 13px; }
.curves + p { margin-top: 12px; font-size: 14px; color: var(--muted); }
.curve > svg { display: block; width: 100%; margin-top: 8px; font-size: 12px; overflow: visible; cursor: crosshair; }
.curve text { fill: var(--muted); font-variant-numeric: tabular-nums; }
.curve path { fill: none; }
.rule { stroke: var(--line); }
.line { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.train { stroke: var(--warm); } .held { stroke: var(--accent); }
.dot { stroke: none; } .dot.train { fill: var(--warm); } .dot.held { fill: var(--accent); }
.kept { stroke: var(--muted); stroke-dasharray: 3 3; }
.cursor { stroke: var(--ink); opacity: .5; }
.readout { min-height: 1.7em; font-size: 13px; color: var(--muted); font-variant-numeric: tabular-nums; }
.keys { gap: 6px 22px; }
.keys i { display: inline-block; width: 22px; border-top: 3px solid; border-radius: 2px; margin-right: 8px; vertical-align: middle; }
.key-train { color: var(--warm); } .key-held { color: var(--accent); } .keys .key-kept { border-top: 2px dotted var(--muted); }

.chart svg { display: block; width: 100%; margin-top: 10px; font-size: 12px; overflow: visible; }
.chart text { fill: var(--muted); font-variant-numeric: tabular-nums; }
.chart p { font-size: 13px; }
.bar-on { fill: var(--accent); } .bar-off { fill: var(--k-none); }
.pair img.heat { max-width: 240px; image-rendering: pixelated; border-radius: 4px; }
.schema td { white-space: normal; }
.made { display: grid; gap: 8px; }
.made div { display: grid; grid-template-columns: 12em 1fr; gap: 2px 20px; align-items: baseline; }
.choices { font-size: 14px; }
.choices th, .choices td { text-align: left; vertical-align: top; padding: 7px 18px; }
.choices td { white-space: normal; min-width: 8em; max-width: 26em; }
.choices tbody th { font-weight: 400; color: var(--muted); }
.choices thead th { font-weight: 650; color: var(--ink); font-size: 14px; padding-top: 12px; }
.choices tbody tr:first-child > * { border-top: 0; }
.commands { display: grid; gap: 8px; }
.command { display: flex; gap: 12px; align-items: center; padding: 9px 10px 9px 16px; background: var(--soft); border-radius: 10px; }
code { flex: 1; min-width: 0; font: 14px/1.5 ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "Liberation Mono", monospace;
  white-space: pre-wrap; }
footer { margin: 64px 0 40px; padding-top: 18px; border-top: 1px solid var(--line); font-size: 14px; color: var(--muted); }

@media (max-width: 640px) {
  .strips { grid-template-columns: minmax(0, 1fr); gap: 3px; }
  .models div, .made div { grid-template-columns: 1fr; }
  .strips .label { margin-top: 8px; position: sticky; left: 0; width: max-content; }
  .strips img { min-width: calc(var(--columns) * 36px); }
  th, td { padding: 9px 12px; }
  tbody th { max-width: 11em; }
  .bar { min-width: 6em; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .tile { padding: 12px 14px; }
  .tile strong { font-size: 27px; }
  section { padding-top: 40px; }
}
@media print {
  @page { margin: 14mm; }
  :root { --paper: #ffffff; --shadow: none; }
  body { max-width: none; padding: 0; font-size: 11pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav, button.enlarge, .copy, .hint, .readout { display: none; }
  .tile, .map, .curve, .command, .models div, .strips, tr, .pair figure { break-inside: avoid; }
  h2, .lead, .legend, .keys { break-after: avoid; }
  .scroll { overflow: visible; }
  .maps, .curves { grid-template-columns: 1fr 1fr 1fr; gap: 8px; }
  .map, .curve { padding: 8px; }
  .pair { grid-template-columns: 1fr 1fr; }
  section { padding-top: 28px; }
}
"""
