import { writeFileSync } from "node:fs";
import { type Population, randomAcceptedToken } from "./seeded-token.ts";

/** Writes so many accepted keys, each drawn anew from the whole population, one a line, for go/load. */
export function writeKeyFile(path: string, population: Population, count: number): void {
  const lines = Array.from({ length: count }, () => `${randomAcceptedToken(population).key}\n`);
  writeFileSync(path, lines.join(""), { mode: 0o600 });
}
