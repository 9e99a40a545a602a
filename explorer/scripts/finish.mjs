// Puts the built files where the Python package keeps them: the server's files, and page.html as one file with everything inside.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, "..", "src", "isthmus", "explorer", "static");

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
cpSync(join(root, "build", "server"), target, { recursive: true });

// The licences of what is bundled go with it.
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
const notices = Object.entries(lock.packages)
  .filter(([path, entry]) => path && !entry.dev && !/types/.test(path))
  .map(([path, entry]) => {
    const file = readdirSync(join(root, path)).find((name) => /^licen[cs]e/i.test(name));
    const text = readFileSync(
      file ? join(root, path, file) : join(root, "scripts", `${path.replace(/^.*\//, "").replace(/-\w+$/, "")}.licence.txt`),
      "utf8",
    ).trim();
    return `${path.replace(/^.*node_modules\//, "")} ${entry.version}: ${entry.license}\n\n${text}`.trim();
  });
const licences = `The explorer's page contains these packages.\n\n${notices.join("\n\n----\n\n")}\n`;
writeFileSync(join(target, "licences.txt"), licences);

const read = (...parts) => readFileSync(join(root, "build", "page", ...parts), "utf8");
const script = read("assets", "explorer.js").replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const styles = readdirSync(join(root, "build", "page", "assets"))
  .filter((name) => name.endsWith(".css"))
  .map((name) => read("assets", name))
  .join("\n");
const wasm = gzipSync(readFileSync(join(root, "node_modules", "onnxruntime-web", "dist", "ort-wasm-simd-threaded.wasm")), {
  level: 9,
}).toString("base64");
const digest = createHash("sha256").update(script).digest("base64");
const policy = `default-src 'none'; script-src 'sha256-${digest}' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'`;
const data = (id, text) => `<script id="${id}" type="text/plain">${text}</script>`;
const body = [
  data("isthmus-data", "__ISTHMUS_DATA__"),
  data("isthmus-wasm", wasm),
  data("licences", licences.replaceAll("<", "&lt;")),
  `<script type="module">${script}</script>`,
].join("\n");
const page = read("page.html")
  .replace(/\s*<script type="module"[^>]*><\/script>/, "")
  .replace(/\s*<link rel="(stylesheet|modulepreload)"[^>]*>/g, "")
  .replace("<head>", () => `<head>\n    <meta http-equiv="Content-Security-Policy" content="${policy}" />`)
  .replace("</head>", () => `<style>${styles}</style>\n  </head>`)
  .replace("</body>", () => `${body}\n  </body>`);
writeFileSync(join(target, "page.html"), page);

// What the built files were made of, so that a test can tell when they are out of date.
const walk = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)],
  );
const tops = ["index.html", "package-lock.json", "package.json", "page.html", "tsconfig.json", "vite.config.ts"].map((name) =>
  join(root, name),
);
const sources = [...tops, ...walk(join(root, "src")), ...walk(join(root, "scripts"))]
  .map((path) => relative(root, path).replaceAll("\\", "/"))
  .sort();
const hash = createHash("sha256");
for (const name of sources)
  hash
    .update(`${name}\0`)
    .update(readFileSync(join(root, name)))
    .update("\0");
writeFileSync(join(target, "sources.sha256"), `${hash.digest("hex")}\n`);
console.log(`${sources.length} sources; page.html ${(page.length / 1e6).toFixed(1)} MB`);
