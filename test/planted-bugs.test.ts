import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { plantedDomain } from "./suites/mutants/planted-domain.ts";
import { plantedGateways } from "./suites/mutants/planted-gateways.ts";
import { plantedHttp2 } from "./suites/mutants/planted-http2.ts";
import { plantedNeighbours } from "./suites/mutants/planted-neighbours.ts";
import { plantedStore } from "./suites/mutants/planted-store.ts";
import { plantedTls } from "./suites/mutants/planted-tls.ts";

const root = resolve(import.meta.dirname, "..");

const bugs: readonly {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly tests: readonly string[];
}[] = [plantedDomain, plantedGateways, plantedHttp2, plantedNeighbours, plantedStore, plantedTls].flat();

it.each(bugs)("the planted bug fits its file and has its tests: $name", ({ file, from, tests }) => {
  expect(readFileSync(join(root, file), "utf8").split(from)).toHaveLength(2);
  expect(tests.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
