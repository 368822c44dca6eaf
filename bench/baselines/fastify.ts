import type { Way } from "../runner/way.ts";
import { nodeProgram } from "./node-program.ts";

/** Stock fastify and pg: a SELECT for each request, and nothing kept in memory. */
export function fastify(database: string): Way {
  return {
    name: "fastify + pg",
    transport: "cleartext",
    program: () => nodeProgram(new URL("./fastify-server.ts", import.meta.url), database),
  };
}
