import { fileURLToPath } from "node:url";
import type { Program } from "../runner/server-process.ts";

/** A program that is run by the same Node as the authority. */
export function nodeProgram(file: URL, ...args: readonly string[]): Program {
  return { command: process.execPath, args: [fileURLToPath(file), ...args] };
}
