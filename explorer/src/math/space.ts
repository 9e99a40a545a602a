/** Walks, group vectors and neighbours in the space of codes. */

export type Vector = readonly number[];

const dot = (a: Vector, b: Vector): number => a.reduce((sum, value, i) => sum + value * b[i], 0);

export const norm = (a: Vector): number => Math.sqrt(dot(a, a));

export const along = (code: Vector, vector: Vector, strength: number): number[] => code.map((value, i) => value + strength * vector[i]);

/** Equal steps on the straight line between two codes. */
export const linear = (a: Vector, b: Vector, t: number): number[] => a.map((value, i) => value + t * (b[i] - value));

/** Equal steps of the angle between two codes (Shoemake 1985); the straight line where they are parallel or one is zero. */
export function spherical(a: Vector, b: Vector, t: number): number[] {
  const size = norm(a) * norm(b);
  const angle = size > 0 ? Math.acos(Math.max(-1, Math.min(1, dot(a, b) / size))) : 0;
  const sine = Math.sin(angle);
  if (sine < 1e-6) return linear(a, b, t);
  const left = Math.sin((1 - t) * angle) / sine;
  const right = Math.sin(t * angle) / sine;
  return a.map((value, i) => left * value + right * b[i]);
}

export function walk(a: Vector, b: Vector, count: number, way: "linear" | "spherical"): number[][] {
  const step = way === "linear" ? linear : spherical;
  return Array.from({ length: count }, (_, i) => step(a, b, count > 1 ? i / (count - 1) : 0));
}

export function meanOf(codes: Float32Array, size: number, indices: readonly number[]): number[] {
  const total = new Array<number>(size).fill(0);
  for (const index of indices) for (let k = 0; k < size; k++) total[k] += codes[index * size + k];
  return total.map((value) => value / indices.length);
}

/** How many (pooled) standard deviations lie between two groups along the line through their means; null where all coincide. */
export function separation(codes: Float32Array, size: number, a: readonly number[], b: readonly number[]): number | null {
  const [left, right] = [meanOf(codes, size, a), meanOf(codes, size, b)];
  const vector = right.map((value, k) => value - left[k]);
  const length = norm(vector) || 1;
  const off = (mean: number[]) => (index: number) =>
    vector.reduce((sum, value, k) => sum + (value * (codes[index * size + k] - mean[k])) / length, 0) ** 2;
  const squares = [...a.map(off(left)), ...b.map(off(right))].reduce((sum, value) => sum + value, 0);
  const spread = Math.sqrt(squares / (a.length + b.length));
  return spread > 0 ? norm(vector) / spread : null;
}

export function nearest(codes: Float32Array, size: number, index: number, count: number): { index: number; distance: number }[] {
  const best: { index: number; distance: number }[] = [];
  for (let i = 0; i < codes.length / size; i++) {
    if (i === index) continue;
    let distance = 0;
    for (let k = 0; k < size; k++) distance += (codes[i * size + k] - codes[index * size + k]) ** 2;
    if (best.length === count && distance >= best[count - 1].distance) continue;
    if (best.length === count) best.pop();
    best.splice(best.findIndex((other) => other.distance > distance) >>> 0, 0, { index: i, distance });
  }
  return best.map((found) => ({ index: found.index, distance: Math.sqrt(found.distance) }));
}
