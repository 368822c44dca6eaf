import { existsSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { unpackDebianPackages } from "../support/tools.ts";

/** For a process whose clock is the machine's. */
export const realClock: Readonly<Record<string, string>> = {};

/** Where libfaketime for programs with threads is. */
export async function installFakeClock(): Promise<string> {
  const { libraryPath } = await unpackDebianPackages(["libfaketime"]);
  const paths = libraryPath.split(delimiter).map((folder) => join(folder, "faketime", "libfaketimeMT.so.1"));
  const library = paths.find((path) => existsSync(path));
  if (library === undefined) {
    throw new Error("Debian's libfaketime has no libfaketimeMT.so.1");
  }
  return library;
}

/** The wall clock of a process, which can jump. Its monotonic clock is the machine's. */
export class FakeClock {
  readonly #library: string;
  readonly #file: string;

  constructor(library: string, file: string) {
    this.#library = library;
    this.#file = file;
    this.jumpTo(0);
  }

  environment(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
      FAKETIME_CACHE_DURATION: "1",
    };
  }

  /** So many seconds from the machine's time. Takes a second at most. */
  jumpTo(seconds: number): void {
    writeFileSync(this.#file, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}\n`);
  }
}
