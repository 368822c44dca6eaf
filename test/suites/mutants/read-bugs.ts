import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Edit } from "../support/planted-copy.ts";

/** A small bug, which one of the tests must see. */
export type PlantedBug = Edit & {
  readonly name: string;
  /** The files of the tests that must see it. */
  readonly tests: readonly string[];
  /**
   * A piece of the name of the one that does. No other is run then: what is red for another reason sees nothing, and
   * whole files take long.
   */
  readonly seenBy?: string;
};

/** The bugs in the lists beside this file, one list a part of the project. */
export async function readPlantedBugs(): Promise<readonly PlantedBug[]> {
  const files = readdirSync(import.meta.dirname).filter((name) => name.startsWith("planted-"));
  const lists: readonly Readonly<Record<string, readonly PlantedBug[]>>[] = await Promise.all(
    files.map((name) => import(join(import.meta.dirname, name))),
  );
  return lists.flatMap((list) => Object.values(list).flat());
}
