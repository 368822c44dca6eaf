import type { Log } from "../../machine/log.ts";
import { Account } from "../http2/account.ts";
import type { Holder } from "./connection-registry.ts";

/** What all connections of a thread may hold together. */
export type ByteBudget = Disposable & {
  /** What HTTP/2 counts in as it holds: windows open less far as it fills. */
  readonly account: Account;
  /** Asks for the holders whenever the budget is looked at. */
  watch(holders: () => Iterable<Holder>): void;
  readings(): ByteReadings;
};

export type ByteReadings = {
  readonly heldBytes: number;
  /** Connections that were cut since the start because they held most of too much. */
  readonly cut: number;
};

const lookEveryMs = 500;

/**
 * Bounds what the connections of a thread hold together: unfinished requests, header fields, bodies that wait, and
 * answers that their peers do not take. Past `maxBytes`, those that hold most are cut until a quarter is free. Windows
 * and limits bound each connection, and there are many.
 */
export function createByteBudget(maxBytes: number, log: Log): ByteBudget {
  const sources: (() => Iterable<Holder>)[] = [];
  let cut = 0;
  let isLookPlanned = false;

  function holders(): Holder[] {
    return sources.flatMap((source) => [...source()]);
  }

  function look(): void {
    const held = holders().map((holder) => ({ holder, bytes: holder.heldBytes }));
    let heldBytes = held.reduce((sum, { bytes }) => sum + bytes, 0);
    if (heldBytes <= maxBytes) {
      return;
    }
    const before = cut;
    for (const { holder, bytes } of held.toSorted((one, other) => other.bytes - one.bytes)) {
      if (heldBytes <= (maxBytes / 4) * 3) {
        break;
      }
      holder.cut();
      heldBytes -= bytes;
      cut += 1;
    }
    log.warn({ maxBytes, cut: cut - before }, "connections held too much together: those that held most were cut");
  }

  // Not at once: what overdraws it is in the middle of its work on a connection.
  const account = new Account(maxBytes, null, () => {
    if (!isLookPlanned) {
      isLookPlanned = true;
      setImmediate(() => {
        isLookPlanned = false;
        look();
      });
    }
  });
  // What waits in sockets is in no account, nor what handlers have read.
  const looking = setInterval(look, lookEveryMs);
  looking.unref();

  return {
    account,
    watch(source) {
      sources.push(source);
    },
    readings: () => ({ heldBytes: holders().reduce((sum, { heldBytes }) => sum + heldBytes, 0), cut }),
    [Symbol.dispose]: () => clearInterval(looking),
  };
}
