import { constants, copyFileSync, existsSync } from "node:fs";
import { dataFiles, prepareDataDirectory } from "../../src/stores/sqlite/data-directory.ts";
import { syncFile } from "./seed.ts";

/** Copies the database of a data directory that nobody has open, and the log and marker without which none starts. */
export function copyData(from: string, to: string): void {
  prepareDataDirectory(to);
  const [source, target] = [dataFiles(from), dataFiles(to)];
  copyFileSync(source.database, target.database, constants.COPYFILE_FICLONE);
  for (const file of ["wal", "revocationLog", "marker"] as const) {
    if (existsSync(source[file])) {
      copyFileSync(source[file], target[file]);
    }
  }
  syncFile(target.database);
}
