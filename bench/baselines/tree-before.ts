import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Population } from "../population/seeded-token.ts";
import { MissingError } from "../runner/missing-error.ts";
import type { Way } from "../runner/way.ts";
import { type AuthorityOptions, authority } from "./authority.ts";

export type TreeBefore = {
  readonly way: Way;
  /** Of its database, as seeded. */
  readonly bytes: number;
};

/**
 * The authority of another work tree of this project, which has its packages installed. Its own bench seeds its data
 * with the same population, so that its schema may differ. Throws a MissingError where there is no such tree.
 */
export function treeBefore(tree: string | null, directory: string, population: Population): TreeBefore {
  if (tree === null) {
    throw new MissingError("--before DIR: a work tree to compare with");
  }
  const seedModule = join(tree, "bench", "population", "seed.ts");
  if (!existsSync(seedModule)) {
    throw new MissingError(`a work tree of the project at --before ${tree}`);
  }
  const program = `import { seed } from ${JSON.stringify(pathToFileURL(seedModule).href)};
    console.log(seed(${JSON.stringify(directory)}, ${JSON.stringify(population)}));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  if (status !== 0) {
    throw new Error(`${tree} could not seed its data:\n${stderr}`);
  }
  const options: AuthorityOptions = { name: "the tree before", settings: { DATA_DIR: directory }, tree };
  return { way: authority(options), bytes: Number(stdout) };
}
