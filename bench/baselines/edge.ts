import { fileURLToPath } from "node:url";
import type { Way } from "../runner/way.ts";

/** The authority's program on a unix socket, which decides from a leased memory and asks its upstream, HOST:PORT. */
export function edge(socket: string, upstream: string): Way {
  return {
    name: "edge",
    transport: "cleartext",
    program: () => ({
      command: process.execPath,
      args: [fileURLToPath(new URL("../../src/main.ts", import.meta.url))],
      env: {
        TOKEN_AUTHORITY_LISTEN: `unix:${socket}`,
        TOKEN_AUTHORITY_ADMIN_LISTEN: "off",
        TOKEN_AUTHORITY_UPSTREAM: upstream,
      },
    }),
  };
}
