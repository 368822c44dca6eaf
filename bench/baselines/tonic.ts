import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { buildRustProgram } from "../../test/suites/support/tools.ts";
import { MissingError } from "../runner/missing-error.ts";
import type { Way } from "../runner/way.ts";

/** Stock tonic on one thread, which finds keys in a map by their SHA-256. */
export const tonic: Way = {
  name: "tonic",
  transport: "cleartext",
  async program({ hotKeys }) {
    if (spawnSync("cargo", ["--version"]).status !== 0) {
      throw new MissingError("Rust's cargo is not installed");
    }
    const command = await buildRustProgram(resolve(import.meta.dirname, "../rust"), "tonic-server");
    return { command, args: [hotKeys] };
  },
};
