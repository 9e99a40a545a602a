/** The backend inside an exported page: data in the page, models run by ONNX Runtime's WebAssembly. */

import * as ort from "onnxruntime-web/wasm";
import { above } from "../math/numbers.ts";
import { meanOf, nearest, norm, separation, walk } from "../math/space.ts";
import { floatsFromBase64, fromBase64, gunzip } from "./bytes.ts";
import { content, difference, png, rangeOf } from "./decode.ts";
import type { Decoding } from "./decode.ts";
import { Trouble } from "./types.ts";
import type { About, Anomalies, Attribute, Backend, Cell, Content, Decoded, Point, Reason, Sheet, Way } from "./types.ts";

interface Bundle {
  about: About;
  maps: Record<string, string>;
  codes: string;
  colours: Record<string, string>;
  sheet: Sheet | null;
  inputs: { names?: string[] | null; values?: string; cells?: (string | null)[][] } | null;
  scores?: string | null;
  anomalies: (Omit<Anomalies, "scores"> & { scores?: string }) | null;
  models: { encoder: string; decoder: string; score: string | null };
  decoding: Decoding;
}

const RED = [220 / 255, 38 / 255, 38 / 255];
const BLUE = [37 / 255, 99 / 255, 235 / 255];

const element = (id: string): string => document.getElementById(id)?.textContent ?? "";

async function unpack(): Promise<Bundle> {
  const packed = element("isthmus-data").trim();
  if (packed.startsWith("__"))
    throw new Trouble("This page is the empty form of an export: `isthmus explore MODEL DATA --export page.html` fills it.");
  return JSON.parse(new TextDecoder().decode(await gunzip(fromBase64(packed)))) as Bundle;
}

/** Numbers that look normal from a seed (mulberry32 and Box-Muller). */
export function normals(seed: number): () => number {
  let state = seed | 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

export class PageBackend implements Backend {
  readonly exported = true;
  private readonly bundle: Bundle;
  private readonly codes: Float32Array;
  private readonly scores: Float32Array | null;
  private readonly size: number;
  private session: Promise<ort.InferenceSession> | null = null;
  private pixels: CanvasRenderingContext2D | null = null;

  private constructor(bundle: Bundle) {
    this.bundle = bundle;
    this.codes = floatsFromBase64(bundle.codes);
    this.size = bundle.about.code.size;
    this.scores = bundle.scores
      ? floatsFromBase64(bundle.scores)
      : bundle.anomalies?.scores
        ? floatsFromBase64(bundle.anomalies.scores)
        : null;
  }

  static async open(): Promise<PageBackend> {
    return new PageBackend(await unpack());
  }

  about = async (): Promise<About> => ({ ...this.bundle.about, output: { ...this.bundle.about.output, draws: false } });
  map = async (method: string): Promise<Float32Array> => floatsFromBase64(this.bundle.maps[method]);
  colour = async (name: string): Promise<Float32Array> => floatsFromBase64(this.bundle.colours[name]);
  sheet = async (): Promise<Sheet | null> => this.bundle.sheet;

  inputs = async (indices: number[]): Promise<Content[]> => Promise.all(indices.map((index) => this.input(index)));

  private async input(index: number): Promise<Content> {
    const { sheet, inputs, about, decoding } = this.bundle;
    if (sheet)
      return { kind: "picture", png: png(await this.tile(index, sheet), [...sheet.size, 3]), width: sheet.size[1], height: sheet.size[0] };
    if (inputs?.cells && decoding.kind === "table")
      return { kind: "table", cells: inputs.cells[index].map((text, i) => this.cell(text, i)) };
    const values = floatsFromBase64(inputs?.values ?? "");
    const width = values.length / about.rows;
    return {
      kind: about.kind === "series" ? "series" : "numbers",
      values: [...values.subarray(index * width, (index + 1) * width)],
      names: inputs?.names ?? null,
    };
  }

  private cell(text: string | null, i: number): Cell {
    const { name } = this.bundle.about.columns[i];
    const column = this.bundle.decoding.kind === "table" ? this.bundle.decoding.columns.find((one) => one.name === name) : undefined;
    const number =
      column?.how === "interp" && column.kind !== "date" && text !== null && text !== ""
        ? Number.parseFloat(text.replaceAll(",", "").replace("−", "-"))
        : Number.NaN;
    return {
      name,
      text: text ?? "missing",
      number: Number.isFinite(number) ? number : null,
      ...(column ? rangeOf(column) : { low: null, high: null }),
    };
  }

  /** The pixels of one tile of the sheet, in [0, 1]. */
  private async tile(index: number, sheet: Sheet): Promise<Float32Array> {
    const [height, width] = sheet.size;
    if (!this.pixels) {
      const image = new Image();
      image.src = sheet.url;
      await image.decode();
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      this.pixels = canvas.getContext("2d", { willReadFrequently: true })!;
      this.pixels.drawImage(image, 0, 0);
    }
    const { data } = this.pixels.getImageData((index % sheet.columns) * width, Math.floor(index / sheet.columns) * height, width, height);
    return Float32Array.from({ length: height * width * 3 }, (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)] / 255);
  }

  private async decoder(): Promise<ort.InferenceSession> {
    this.session ??= (async () => {
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmBinary = (await gunzip(fromBase64(element("isthmus-wasm")))).buffer;
      return ort.InferenceSession.create(fromBase64(this.bundle.models.decoder), { executionProviders: ["wasm"] });
    })();
    return this.session;
  }

  private async raw(codes: number[][]): Promise<Float32Array[]> {
    const session = await this.decoder();
    const input = new ort.Tensor("float32", Float32Array.from(codes.flat()), [codes.length, this.size]);
    const output = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
    const values = output.data as Float32Array;
    const width = values.length / codes.length;
    return codes.map((_, i) => values.subarray(i * width, (i + 1) * width));
  }

  async decode(codes: number[][]): Promise<Content[]> {
    const rows = await this.raw(codes);
    return rows.map((row) => content(row, this.bundle.decoding, this.bundle.about.columns));
  }

  private code = (index: number): number[] => [...this.codes.subarray(index * this.size, (index + 1) * this.size)];

  async point(index: number): Promise<Point> {
    const code = this.code(index);
    const input = await this.input(index);
    const [row] = await this.raw([code]);
    const made = content(row, this.bundle.decoding, this.bundle.about.columns);
    const score = this.scores ? this.scores[index] : null;
    const { label, reasons } = { label: this.label(index), reasons: this.reasons(index) };
    return {
      index,
      label,
      code,
      input,
      reconstruction: made,
      difference: await this.left(index, row, input, made),
      score,
      p_value: this.pValue(score),
      reasons,
      neighbours: nearest(this.codes, this.size, index, 8),
    };
  }

  /** Red where the input is brighter, blue where the reconstruction is, clear where they are equal. */
  private async left(index: number, row: Float32Array, input: Content, made: Content): Promise<Content> {
    const { sheet, decoding } = this.bundle;
    if (!sheet || decoding.kind !== "picture") return difference(input, made);
    const [height, width, channels] = decoding.shape;
    if (sheet.size[0] !== height || sheet.size[1] !== width) return made;
    const tile = await this.tile(index, sheet);
    const rgba = new Float32Array(4 * height * width);
    for (let i = 0; i < height * width; i++) {
      const mean = (values: Float32Array, at: number, of: number): number =>
        values.subarray(at, at + of).reduce((sum, value) => sum + value, 0) / of;
      const apart = mean(tile, 3 * i, 3) - mean(row, channels * i, Math.min(channels, 3));
      rgba.set([...(apart > 0 ? RED : BLUE), Math.min(1, Math.abs(apart))], 4 * i);
    }
    return { kind: "picture", png: png(rgba, [height, width, 4]), width, height };
  }

  private label(index: number): string | null {
    const info = this.bundle.about.colours[0];
    if (info?.kind !== "category") return null;
    return info.levels?.[floatsFromBase64(this.bundle.colours[info.name])[index]] ?? null;
  }

  private reasons = (index: number): Reason[] => this.bundle.anomalies?.rows.find((row) => row.index === index)?.reasons ?? [];

  private pValue(score: number | null): number | null {
    const healthy = this.bundle.anomalies?.healthy;
    return score === null || !healthy?.length ? null : (1 + above(healthy, score)) / (healthy.length + 1);
  }

  /** A normal around a random row's code, as wide as the rows lie apart: a kernel density of the codes. */
  async sample(count: number, seed: number): Promise<Decoded> {
    const next = normals(seed * 7919);
    const n = this.bundle.about.rows;
    const { dims } = this.bundle.about.code;
    const width = 0.5 * n ** (-1 / (this.size + 4));
    const codes = Array.from({ length: count }, () => {
      const centre = this.code(Math.abs(Math.floor(next() * 1e6)) % n);
      return centre.map((value, k) => value + (width * next() * (dims[k].high - dims[k].low)) / 4);
    });
    return { codes, items: await this.decode(codes), density: "a smoothed draw of the codes in this page" };
  }

  async interpolate(from: number, to: number, count: number, way: Way): Promise<Decoded> {
    const codes = walk(this.code(from), this.code(to), count, way);
    return { codes, items: await this.decode(codes) };
  }

  async attribute(a: number[], b: number[]): Promise<Attribute> {
    const left = meanOf(this.codes, this.size, a);
    const vector = meanOf(this.codes, this.size, b).map((value, k) => value - left[k]);
    return { vector, norm: norm(vector), separation: separation(this.codes, this.size, a, b) };
  }

  async anomalies(): Promise<Anomalies> {
    const found = this.bundle.anomalies;
    if (!found || !this.scores) throw new Trouble("This page was made without scores.");
    return { ...found, scores: this.scores };
  }

  live(): Promise<void> {
    return Promise.reject(new Trouble("A page in a file shows no training."));
  }

  stop(): Promise<void> {
    return this.live();
  }
}
