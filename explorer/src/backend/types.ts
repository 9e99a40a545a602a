/** What the page and whatever answers it (a server, or models inside the page) say to each other. */

export interface Cell {
  name: string;
  text: string;
  number: number | null;
  low: number | null;
  high: number | null;
}

export type Content =
  | { kind: "picture"; png: string; width: number; height: number }
  | { kind: "table"; cells: Cell[] }
  | { kind: "numbers" | "series"; values: (number | null)[]; names: string[] | null };

export interface Dimension {
  index: number;
  name: string;
  carries: number;
  unit: string;
  low: number;
  high: number;
  mean: number;
}

export interface Column {
  name: string;
  kind: string;
  unit: string | null;
  levels: string[] | null;
}

export interface ColourInfo {
  name: string;
  kind: "number" | "category";
  levels: string[] | null;
}

export interface About {
  name: string;
  family: string;
  version?: string;
  kind: "picture" | "numbers" | "table" | "series";
  shape: number[];
  rows: number;
  rows_total?: number;
  code: { size: number; dims: Dimension[]; order: number[] };
  columns: Column[];
  colours: ColourInfo[];
  maps: string[];
  output: { draws: boolean; name: string };
  anomalies: boolean;
  score?: { name: string; told: string } | null;
  threshold?: number | null;
  threshold_note?: string | null;
  live: boolean;
  note?: string | null;
  maps_missing?: Record<string, string>;
}

export interface Reason {
  column: string;
  observed: string | number | null;
  expected: string | number | null;
  share: number | null;
}

export interface Neighbour {
  index: number;
  distance: number;
}

export interface Point {
  index: number;
  label: string | null;
  code: number[];
  input: Content;
  reconstruction: Content;
  difference: Content;
  score: number | null;
  p_value: number | null;
  /** Whether the scores are still being made. */
  scoring?: boolean;
  reasons: Reason[];
  neighbours: Neighbour[];
}

export interface Decoded {
  codes: number[][];
  items: Content[];
  density?: string;
}

export interface Attribute {
  vector: number[];
  norm: number;
  separation: number | null;
}

export interface AnomalyRow {
  index: number;
  score: number;
  p_value: number | null;
  reasons: Reason[];
}

export interface Anomalies {
  rows: AnomalyRow[];
  healthy: number[];
  /** Whether the healthy scores are of rows that the model has not learned from. */
  calibrated?: boolean;
  scores: Float32Array;
  note: string | null;
}

export interface Sheet {
  size: [number, number];
  columns: number;
  count: number;
  url: string;
}

export interface LiveStep {
  step: number;
  train: number | null;
  held_out: number | null;
  terms?: Record<string, number> | null;
  held_out_terms?: Record<string, number> | null;
}

export interface LiveEvent {
  step: number;
  steps: number | null;
  seconds: number;
  losses: { train: number | null; held_out: number | null; terms: Record<string, number>; held_out_terms?: Record<string, number> | null };
  /** In the first event all steps so far, later only the new ones. */
  history?: LiveStep[] | null;
  best: { step: number; value: number } | null;
  pairs?: [Content, Content][] | null;
  samples?: Content[] | null;
  dead_units?: number | null;
  units?: number | null;
  map?: string | null;
  labels?: (string | number)[] | null;
  done: boolean;
  stopped: boolean;
  error?: string | null;
}

export type Way = "linear" | "spherical";

export interface Backend {
  readonly exported: boolean;
  about(): Promise<About>;
  map(method: string): Promise<Float32Array>;
  colour(name: string): Promise<Float32Array>;
  sheet(): Promise<Sheet | null>;
  inputs(indices: number[]): Promise<Content[]>;
  point(index: number): Promise<Point>;
  decode(codes: number[][], draw: boolean, seed: number): Promise<Content[]>;
  sample(count: number, seed: number, draw: boolean): Promise<Decoded>;
  interpolate(from: number, to: number, count: number, way: Way): Promise<Decoded>;
  attribute(a: number[], b: number[]): Promise<Attribute>;
  anomalies(limit: number): Promise<Anomalies>;
  live(heard: (event: LiveEvent) => void): Promise<void>;
  stop(): Promise<void>;
}

/** A failure told in words: what happened and how to mend it. */
export class Trouble extends Error {
  readonly lasting: boolean;

  constructor(message: string, lasting = false) {
    super(message);
    this.lasting = lasting;
  }
}
