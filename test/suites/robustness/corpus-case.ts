import type { RawConnection } from "./raw-connection.ts";

/**
 * Something that no good client sends. When it is sent, the suite half-closes, and the server has to end the
 * connection.
 */
export type CorpusCase = {
  readonly name: string;
  readonly send: (connection: RawConnection) => Promise<void>;
  /** The suite does not half-close: the server has to cut the connection by itself, or to satisfy `until`. */
  readonly isLeftOpen?: boolean;
  readonly until?: (connection: RawConnection) => boolean;
};

/** Sends these bytes at once. */
export function sends(name: string, ...parts: readonly (Uint8Array | string)[]): CorpusCase {
  const bytes = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
  return { name, send: (connection) => connection.write(bytes) };
}

/** The same, and then waits: the server has to act by itself. */
export function leavesOpen(one: CorpusCase, until?: (connection: RawConnection) => boolean): CorpusCase {
  return { ...one, isLeftOpen: true, ...(until === undefined ? {} : { until }) };
}
