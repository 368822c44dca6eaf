import type { Certificates } from "./certificates.ts";
import type { Program } from "./server-process.ts";

export type Transport = "cleartext" | "TLS 1.3";

/** What lies ready for the servers of a run. */
export type Setup = {
  /** Two data directories with the same tokens, on the same disk. One process at a time may own each. */
  readonly directory: string;
  readonly copy: string;
  /** Where a server may put what it needs. */
  readonly scratch: string;
  /** Files of accepted keys, one a line: a few; and uniformly random ones. */
  readonly hotKeys: string;
  readonly randomKeys: string;
  /** The first of the hot keys. */
  readonly hotKey: string;
  readonly certificates: Certificates;
};

/** A way to answer calls: the authority, or a baseline beside it. */
export type Way = {
  readonly name: string;
  readonly transport: Transport;
  /** Set where it speaks no HTTP/2: how many bytes go each way in a call. */
  readonly raw?: { readonly requestBytes: number; readonly answerBytes: number };
  /** Throws a MissingError when it cannot be started here. */
  program(setup: Setup): Program | Promise<Program>;
};
