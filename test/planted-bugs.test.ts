import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { plantedBugs } from "./suites/freshness/planted-bugs.ts";
import { readPlantedBugs } from "./suites/mutants/read-bugs.ts";
import { plantedBugs as bugsOfNodes } from "./suites/nodes/planted-bugs.ts";

const root = resolve(import.meta.dirname, "..");

it.each(await readPlantedBugs())("the planted bug fits its file and has its tests: $name", ({ file, from, tests }) => {
  expect(readFileSync(join(root, file), "utf8").split(from)).toHaveLength(2);
  expect(tests.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

it.each([...plantedBugs, ...bugsOfNodes].flatMap(({ name, edits }) => edits.map((edit) => ({ name, ...edit }))))(
  "the bug that is planted for suite:freshness or suite:nodes fits its file: $name, in $file",
  ({ file, from }) => {
    expect(readFileSync(join(root, file), "utf8").split(from)).toHaveLength(2);
  },
);
