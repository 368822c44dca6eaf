import { type DestinationStream, pino, symbols } from "pino";
import type { Log } from "./log.ts";
import { type LogOutput, openLogOutput } from "./log-output.ts";

export type ProcessLog = {
  readonly log: Log;
  /** Where its lines go. */
  readonly output: LogOutput;
};

// pino's number of the level.
const errorLevel = 50;

/** The log of the process: JSON lines on standard output, which keep no decision waiting, whatever becomes of them. */
export function createProcessLog(level: string, pid: number): ProcessLog {
  const output = openLogOutput(1, (lines) => {
    log.warn({ lines }, "log lines were lost: standard output took none");
  });
  const log = pino({ level, base: { pid } }, new LogLines(output));
  return { log, output };
}

/** pino tells it of each line what the line was made of. */
class LogLines implements DestinationStream {
  readonly [symbols.needsMetadataGsym] = true;
  lastLevel = 0;
  lastObj: unknown = null;
  readonly #output: LogOutput;

  constructor(output: LogOutput) {
    this.#output = output;
  }

  /**
   * A line of a change is what a restore may need, and errors are what a person looks for: they keep their room
   * longest.
   */
  write(line: string): void {
    this.#output.write(line, this.lastLevel >= errorLevel || isOfChange(this.lastObj));
  }
}

function isOfChange(fields: unknown): boolean {
  return typeof fields === "object" && fields !== null && "hash" in fields;
}
