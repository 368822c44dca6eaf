import type { Way } from "../runner/way.ts";
import { nodeProgram } from "./node-program.ts";

/** Stock @grpc/grpc-js over the same store. */
export const grpcJs: Way = {
  name: "grpc-js",
  transport: "cleartext",
  program: ({ copy }) => nodeProgram(new URL("./grpc-js-server.ts", import.meta.url), copy),
};

/** The same, over a directory of its own in which it also creates and revokes: one transaction for each call. */
export function grpcJsWriter(directory: string): Way {
  return {
    ...grpcJs,
    program: () => nodeProgram(new URL("./grpc-js-server.ts", import.meta.url), directory, "--write"),
  };
}
