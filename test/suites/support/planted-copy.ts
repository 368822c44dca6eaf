import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const projectRoot = resolve(import.meta.dirname, "../../..");

/** A piece of the source, which stands there once, and what stands in its place. */
export type Edit = { readonly file: string; readonly from: string; readonly to: string };

/** Copies the project's own files, as they are now: what git tracks and what it would, without what is installed. */
export function copyProject(folder: string): void {
  const listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", listing, { cwd: projectRoot, encoding: "utf8" }).split("\0");
  for (const name of listed.filter((path) => path !== "" && existsSync(join(projectRoot, path)))) {
    cpSync(join(projectRoot, name), join(folder, name));
  }
}

/**
 * Makes a copy of the project that runs, with these bugs in it, for a suite to show that it would see them. Returns its
 * folder.
 */
export function plantedCopy(folder: string, edits: readonly Edit[]): string {
  copyProject(folder);
  symlinkSync(join(projectRoot, "node_modules"), join(folder, "node_modules"));
  for (const edit of edits) {
    plant(folder, edit);
  }
  return folder;
}

/** Makes the edit in a copy of the project, and returns what takes it back. */
export function plant(folder: string, { file, from, to }: Edit): () => void {
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  const parts = text.split(from);
  if (parts.length !== 2) {
    throw new Error(`the planted bug no longer fits ${file}: adapt it`);
  }
  writeFileSync(path, parts.join(to));
  return () => writeFileSync(path, text);
}
