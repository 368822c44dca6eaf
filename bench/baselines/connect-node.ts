import type { Way } from "../runner/way.ts";
import { nodeProgram } from "./node-program.ts";

/** Stock connect-node over the same store. */
export const connectNode: Way = {
  name: "connect-node",
  transport: "cleartext",
  program: ({ copy }) => nodeProgram(new URL("./connect-node-server.ts", import.meta.url), copy),
};
