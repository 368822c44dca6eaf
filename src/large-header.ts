import { randomBytes } from "node:crypto";
import type { Log } from "./authority/log.ts";
import { headerTooLarge, publicErrorBody } from "./bearer/public-error.ts";

const maxLinesPerSecond = 100;

/** Whoever sent a request whose header is larger than is read. */
type Sender = { readonly transport: string; readonly identity: string | null };

/** What is told to requests whose header is larger than is read: of such a request nothing else is known, whatever the door. */
export type LargeHeaders = {
  /** Counts and logs one, and returns its answer. */
  refuse(sender: Sender): {
    readonly status: 431;
    readonly header: Readonly<Record<string, string>>;
    readonly body: Uint8Array;
  };
  /** How many there were since the start. */
  count(): number;
};

export function createLargeHeaders(log: Log, steadyNowMs: () => number = () => performance.now()): LargeHeaders {
  let count = 0;
  let second = 0;
  let lines = 0;
  let suppressed = 0;

  function tell(sender: Sender, requestId: string): void {
    const now = Math.floor(steadyNowMs() / 1000);
    if (now !== second) {
      second = now;
      lines = 0;
    }
    if (lines >= maxLinesPerSecond) {
      suppressed += 1;
      return;
    }
    lines += 1;
    const { identity, transport } = sender;
    log.warn(
      { caller: identity, transport, request_id: requestId, suppressed },
      "the header of a request is too large",
    );
    suppressed = 0;
  }

  return {
    refuse(sender) {
      count += 1;
      const requestId = `req_${randomBytes(12).toString("hex")}`;
      tell(sender, requestId);
      return {
        status: 431,
        header: { "content-type": "application/json", "cache-control": "no-store", "request-id": requestId },
        body: Buffer.from(publicErrorBody(headerTooLarge, requestId)),
      };
    },
    count: () => count,
  };
}
