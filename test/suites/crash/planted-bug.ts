import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const projectRoot = resolve(import.meta.dirname, "../../..");
// Answers leave when the statements have run. COMMIT follows 20 ms later.
const edits = [
  { file: "src/sqlite/writer.ts", from: "commit.run();\n        return result;", to: "return result;" },
  {
    file: "src/sqlite/writer-loop.ts",
    from: "commitWaiting();\n      runOneBehind();",
    to: `commitWaiting();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      if (db.inTransaction) db.exec("COMMIT");
      runOneBehind();
      if (db.inTransaction) db.exec("COMMIT");`,
  },
] as const;

/** Makes a copy of the project that answers before COMMIT, and returns its folder. */
export function plantBug(folder: string): string {
  for (const name of ["src", "gen", "package.json"]) {
    cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(projectRoot, "node_modules"), join(folder, "node_modules"));
  for (const { file, from, to } of edits) {
    const path = join(folder, file);
    const parts = readFileSync(path, "utf8").split(from);
    if (parts.length !== 2) {
      throw new Error(`the planted bug no longer fits ${file}: adapt it`);
    }
    writeFileSync(path, parts.join(to));
  }
  return folder;
}
