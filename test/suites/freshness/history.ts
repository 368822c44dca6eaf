import { appendFileSync, writeFileSync } from "node:fs";

/** Nanoseconds of CLOCK_MONOTONIC, from the start of the suite: all that is recorded is on this one clock. */
export function now(): number {
  return Number(process.hrtime.bigint() - startNs);
}

const startNs = process.hrtime.bigint();

/** A question and its answer, or a change, as the checker reads it. A change has no holder. */
type Entry = {
  readonly key: string;
  readonly holder: string;
  readonly verdict: string;
  readonly call: number;
  readonly return: number | null;
};

/** What was asked, answered and changed in one round. Keys have names here, so that none is in a file. */
export class History {
  answers = 0;
  cacheHits = 0;
  undecided = 0;
  readonly #entries: Entry[] = [];

  add(entry: Entry): void {
    this.#entries.push(entry);
  }

  writeTo(path: string): void {
    writeFileSync(path, "");
    for (let from = 0; from < this.#entries.length; from += 1000) {
      const lines = this.#entries.slice(from, from + 1000).map((entry) => `${JSON.stringify(entry)}\n`);
      appendFileSync(path, lines.join(""));
    }
  }
}
