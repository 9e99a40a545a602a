/** The backend behind `isthmus explore`: a server on this machine, asked with the token of the link. */

import { floats, floatsFromBase64 } from "./bytes.ts";
import { Trouble } from "./types.ts";
import type { About, Anomalies, Attribute, Backend, Content, Decoded, LiveEvent, Point, Sheet, Way } from "./types.ts";

const GONE =
  "The explorer's server does not answer: it was stopped or its machine sleeps. Start the command again and open the link it prints.";
const REFUSED =
  "The server refused this page: the link's token is missing or out of date. Open the link that the command printed, unshortened.";

/** Take the token from the address, keep it for reloads of this tab, and strip it from what is shown and copied. */
function takeToken(): string {
  const address = new URL(location.href);
  const given = address.searchParams.get("token");
  if (given === null) return sessionStorage.getItem("isthmus-token") ?? "";
  sessionStorage.setItem("isthmus-token", given);
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
  return given;
}

/** Of a very large group evenly chosen members: a question has a length that it must keep, and means hardly move. */
export function thinned(group: number[], most = 50_000): number[] {
  const step = group.length / most;
  return step <= 1 ? group : Array.from({ length: most }, (_, i) => group[Math.floor(i * step)]);
}

async function reason(answer: Response): Promise<string> {
  try {
    const body = (await answer.json()) as { error?: string };
    return body.error ?? `The server answered ${answer.status}.`;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

export class ServerBackend implements Backend {
  readonly exported = false;
  private readonly token = takeToken();

  private async ask(path: string, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = { "X-Isthmus-Token": this.token };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const request = { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) };
    let answer: Response;
    try {
      answer = await fetch(path, { ...request, credentials: "omit" });
    } catch {
      throw new Trouble(GONE, true);
    }
    if (answer.ok) return answer;
    if (answer.status === 401 || answer.status === 403) throw new Trouble(REFUSED, true);
    throw new Trouble(await reason(answer));
  }

  private async json<T>(path: string, body?: unknown): Promise<T> {
    return (await this.ask(path, body)).json() as Promise<T>;
  }

  private async array(path: string): Promise<Float32Array> {
    return floats(await (await this.ask(path)).arrayBuffer());
  }

  about = (): Promise<About> => this.json("/api/about");
  map = (method: string): Promise<Float32Array> => this.array(`/api/map?method=${encodeURIComponent(method)}`);
  colour = (name: string): Promise<Float32Array> => this.array(`/api/colour?name=${encodeURIComponent(name)}`);
  point = (index: number): Promise<Point> => this.json(`/api/point?index=${index}`);

  async sheet(): Promise<Sheet | null> {
    const found = await this.json<Sheet | { size: null }>("/api/sheet");
    if (found.size === null) return null;
    if (found.url.startsWith("data:")) return found;
    const blob = await (await this.ask(found.url)).blob();
    return { ...found, url: URL.createObjectURL(blob) };
  }

  async inputs(indices: number[]): Promise<Content[]> {
    return (await this.json<{ items: Content[] }>(`/api/inputs?indices=${indices.join(",")}`)).items;
  }

  async decode(codes: number[][], draw: boolean, seed: number): Promise<Content[]> {
    return (await this.json<{ items: Content[] }>("/api/decode", { codes, draw, seed })).items;
  }

  sample = (count: number, seed: number, draw: boolean): Promise<Decoded> => this.json("/api/sample", { count, seed, draw });

  interpolate = (from: number, to: number, count: number, way: Way): Promise<Decoded> =>
    this.json("/api/interpolate", { from, to, count, way });

  attribute = (a: number[], b: number[]): Promise<Attribute> => this.json("/api/attribute", { a: thinned(a), b: thinned(b) });

  async anomalies(limit: number): Promise<Anomalies> {
    const found = await this.json<Omit<Anomalies, "scores"> & { scores: string }>(`/api/anomalies?limit=${limit}`);
    return { ...found, scores: floatsFromBase64(found.scores) };
  }

  async live(heard: (event: LiveEvent) => void): Promise<void> {
    const answer = await this.ask("/api/live");
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let kept = "";
    let done = false;
    while (!done) {
      const part = await reader.read().catch(() => ({ done: true as const, value: undefined }));
      if (part.done) throw new Trouble("The training command has gone: its stream ended before the training did.", true);
      const blocks = (kept + part.value.replaceAll("\r\n", "\n")).split("\n\n");
      kept = blocks.pop() ?? "";
      for (const event of blocks.flatMap(readEvent)) {
        heard(event);
        done ||= event.done;
      }
    }
    await reader.cancel();
  }

  async stop(): Promise<void> {
    await this.ask("/api/stop", {});
  }
}

/** The data of one block of a text/event-stream; comments (keep-alive) give nothing. */
export function readEvent(block: string): LiveEvent[] {
  const lines = block.split("\n").filter((line) => line.startsWith("data:"));
  return lines.length === 0 ? [] : [JSON.parse(lines.map((line) => line.slice(5)).join("\n")) as LiveEvent];
}
