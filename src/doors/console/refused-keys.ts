import type { Clock } from "../../authority/clock.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";

/**
 * How often keys were refused for one reason at one gateway; for a token, where one is known. Can be sent to another
 * thread.
 */
export type RefusedRow = {
  /** Why: `TOKEN_REVOKED`. */
  readonly reason: string;
  /** The gateway that asked; null for the REST API, where the bearer itself calls. */
  readonly caller: string | null;
  /** Null when no token has the key. */
  readonly tokenId: string | null;
  readonly count: number;
  readonly lastMs: number;
};

/** Which keys were refused of late, and who asked about them. */
export type RefusedKeys = {
  /** Costs the same however many keys were refused. */
  observe(call: FinishedCall): void;
  rows(): readonly RefusedRow[];
};

/** More than a person reads of one reason. The key whose refusal is the oldest is forgotten first. */
const maxRowsPerReason = 50;

export function createRefusedKeys(clock: Clock): RefusedKeys {
  const byReason = new Map<string, Map<string, RefusedRow>>();
  return {
    observe({ refusal: reason, caller, tokenId }) {
      if (reason === null) {
        return;
      }
      const rows = byReason.get(reason) ?? new Map<string, RefusedRow>();
      byReason.set(reason, rows);
      const id = idOf({ reason, caller, tokenId });
      const count = (rows.get(id)?.count ?? 0) + 1;
      // Set anew, it is the last in the map's order, and the first is the one to forget.
      rows.delete(id);
      rows.set(id, { reason, caller, tokenId, count, lastMs: clock() });
      const [oldest] = rows.keys();
      if (rows.size > maxRowsPerReason && oldest !== undefined) {
        rows.delete(oldest);
      }
    },
    rows: () => [...byReason.values()].flatMap((rows) => [...rows.values()]),
  };
}

/** What all threads tell, the latest first, of each reason no more than a person reads. */
export function mergeRefused(rows: readonly RefusedRow[]): readonly RefusedRow[] {
  const merged = new Map<string, RefusedRow>();
  for (const row of rows) {
    const { count = 0, lastMs = 0 } = merged.get(idOf(row)) ?? {};
    merged.set(idOf(row), { ...row, count: count + row.count, lastMs: Math.max(lastMs, row.lastMs) });
  }
  const taken = new Map<string, number>();
  return [...merged.values()]
    .sort((one, other) => other.lastMs - one.lastMs)
    .filter(({ reason }) => {
      const before = taken.get(reason) ?? 0;
      taken.set(reason, before + 1);
      return before < maxRowsPerReason;
    });
}

function idOf({ reason, caller, tokenId }: Pick<RefusedRow, "reason" | "caller" | "tokenId">): string {
  return JSON.stringify([reason, caller, tokenId]);
}
