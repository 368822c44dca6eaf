import { plantedCopy } from "../support/planted-copy.ts";

// Answers leave when the statements have run. COMMIT follows 20 ms later.
const edits = [
  { file: "src/stores/sqlite/writer/writer.ts", from: "commit.run();\n        return result;", to: "return result;" },
  {
    file: "src/stores/sqlite/writer/writer-loop.ts",
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
  return plantedCopy(folder, edits);
}
