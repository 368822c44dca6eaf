import { leaseMs, maxClocksApartMs, settleMs } from "../../../authority/lease.ts";

/** A reading of both clocks of a node. */
export type Moment = { readonly monotonicMs: number; readonly wallMs: number };

/**
 * The clocks of a node. `monotonicMs` never jumps; `wallMs` may be set, and goes on where the other one stood still
 * with the machine.
 */
export type Clocks = { readonly monotonicMs: () => number; readonly wallMs: () => number };

/** The lease by which a node decides from memory, on two clocks. It has no timers. */
export type NodeLease = {
  /** Whether memory may be decided from. Two readings and two comparisons. */
  isHeld(): boolean;
  /** What is left of it, in milliseconds: 0 where there is none. */
  leftMs(): number;
  /** How long ago it ended, in milliseconds; null where it did not simply run out. */
  overForMs(): number | null;
  /** To be read before a renewal is sent. */
  moment(): Moment;
  /** A renewal that was sent at this moment is committed, and this change was the newest. */
  renewed(sent: Moment, head: number): void;
  /** Every change up to here was applied. */
  applied(revision: number): void;
  /** No lease from before this moment counts any more. */
  end(): void;
  /** What the database said so far may be of another server than that which it says from now on. */
  reconnected(): void;
  /** Whether it was held for so long that every lease from before is over, whoever had it. */
  isSeasoned(): boolean;
  /** How often it ran out. */
  lapses(): number;
};

/** A renewal that does not count yet: the changes up to `head` are not applied. */
type Pending = { readonly sent: Moment; readonly head: number };

export function createNodeLease({ monotonicMs, wallMs }: Clocks): NodeLease {
  let untilMs = Number.NEGATIVE_INFINITY;
  /** The wall clock less the monotonic one when the renewal that counts was sent. */
  let apartMs = 0;
  let pending: Pending[] = [];
  let appliedRevision = 0;
  /** Since when it was held without a gap, on one session. */
  let heldSinceMs = Number.POSITIVE_INFINITY;
  let hadLease = false;
  let lapses = 0;

  function isHeld(): boolean {
    const nowMs = monotonicMs();
    if (nowMs >= untilMs) {
      return false;
    }
    if (Math.abs(wallMs() - nowMs - apartMs) > maxClocksApartMs) {
      end();
      return false;
    }
    return true;
  }

  function end(): void {
    untilMs = Number.NEGATIVE_INFINITY;
    pending = [];
  }

  /** Whether it is done with: it counts, or came to nothing. */
  function count({ sent, head }: Pending): boolean {
    if (sent.monotonicMs + leaseMs <= monotonicMs()) {
      return true;
    }
    if (head > appliedRevision) {
      return false;
    }
    if (!isHeld()) {
      heldSinceMs = monotonicMs();
      lapses += hadLease ? 1 : 0;
      hadLease = true;
    }
    const endMs = sent.monotonicMs + leaseMs;
    if (endMs > untilMs) {
      untilMs = endMs;
      apartMs = sent.wallMs - sent.monotonicMs;
    }
    return true;
  }

  return {
    isHeld,
    leftMs: () => (isHeld() ? Math.max(0, untilMs - monotonicMs()) : 0),
    overForMs() {
      if (isHeld() || untilMs === Number.NEGATIVE_INFINITY) {
        return null;
      }
      const nowMs = monotonicMs();
      if (Math.abs(wallMs() - nowMs - apartMs) > maxClocksApartMs) {
        end();
        return null;
      }
      return nowMs - untilMs;
    },
    moment: () => ({ monotonicMs: monotonicMs(), wallMs: wallMs() }),
    renewed(sent, head) {
      pending = [...pending, { sent, head }].filter((one) => !count(one));
    },
    applied(revision) {
      appliedRevision = revision;
      if (pending.length > 0) {
        pending = pending.filter((one) => !count(one));
      }
    },
    end,
    reconnected() {
      heldSinceMs = monotonicMs();
    },
    isSeasoned: () => isHeld() && monotonicMs() - heldSinceMs >= settleMs,
    lapses: () => lapses,
  };
}
