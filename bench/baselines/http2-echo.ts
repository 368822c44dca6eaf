import type { Transport, Way } from "../runner/way.ts";
import { nodeProgram } from "./node-program.ts";

/** The least that a node:http2 server can do for a call: it answers fixed bytes. */
export function http2Echo(transport: Transport = "cleartext"): Way {
  return {
    name: "node:http2 echo",
    transport,
    program({ certificates: { ca, server } }) {
      const files = transport === "TLS 1.3" ? [server.cert, server.key, ca] : [];
      return nodeProgram(new URL("./http2-echo-server.ts", import.meta.url), ...files);
    },
  };
}
