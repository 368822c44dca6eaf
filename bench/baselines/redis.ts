import { spawnSync } from "node:child_process";
import { MissingError } from "../runner/missing-error.ts";
import { findFreePort } from "../runner/server-process.ts";
import type { Way } from "../runner/way.ts";

/** Redis, which only keeps what it is given, in memory and nowhere else. */
export const redis: Way = {
  name: "Redis GET",
  transport: "cleartext",
  async program() {
    if (spawnSync("redis-server", ["--version"]).status !== 0) {
      throw new MissingError("redis-server (Debian redis-server) is not installed");
    }
    const port = String(await findFreePort());
    const args = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    return { command: "redis-server", args, address: `127.0.0.1:${port}` };
  },
};
