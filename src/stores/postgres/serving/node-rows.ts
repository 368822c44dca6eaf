import type { Holder, HoldersReport, Settlement, Unconfirmed } from "../../../authority/freshness.ts";
import { leaseMs, settleMs } from "../../../authority/lease.ts";

/** A gateway that did not acknowledge in time, and its number among all that were silent at its node. */
export type SilentGateway = {
  readonly identity: string;
  readonly heardAtMs: number | null;
  readonly number: number;
};

/** A row of table `node`. */
export type NodeRow = {
  readonly id: string;
  readonly name: string;
  /** For how long memory lives on after the lease. */
  readonly grace_ms: number;
  readonly renewals: number;
  readonly acked_revision: number;
  readonly holders: number;
  readonly silent: readonly SilentGateway[];
};

/** A row as it was when it was last seen with another count of renewals. */
type Seen = {
  readonly renewals: number;
  readonly sinceMs: number;
  /** Whether that was another count than the first. */
  readonly isRenewed: boolean;
};

/** A row that nobody has renewed for so long that its lease, and the grace, are over. */
export type DeadRow = Pick<NodeRow, "id" | "renewals">;

/** A change that waits for the rows. */
type Wait = {
  readonly revision: number;
  /** Only what is asked after this look was asked after the change. */
  readonly afterLook: number;
  readonly endMs: number;
  /** How many gateways had been silent at each node at the first look; null before it. */
  silentBefore: ReadonlyMap<string, number> | null;
  /** The names of nodes whose rows were dropped before they had acknowledged it, by the rows' ids. */
  readonly dropped: Map<string, string>;
  readonly answer: (settlement: Settlement) => void;
};

const maxNamed = 100;
/** A silent gateway is named in the row for longer than any change waits. */
const namedForMs = 60_000;

/** What a node knows of all rows, and the changes that wait for them. It has no timers. */
export type NodeRows = {
  /** A look is about to be sent: its number. */
  look(): number;
  /**
   * What a look has found. Answers the changes that every row has acknowledged, where that may be believed. Returns the
   * rows that may be dropped.
   */
  looked(look: number, rows: readonly NodeRow[]): readonly DeadRow[];
  /** Answers, once, when every row has acknowledged the revision, or when every lease from before this call is over. */
  wait(revision: number, answer: (settlement: Settlement) => void): void;
  /** Answers those that have waited long enough. */
  answerWaitedOut(): void;
  isWaitedFor(): boolean;
  /** When the next one has waited long enough, by the monotonic clock; null where none waits. */
  nextEndMs(): number | null;
  /** As they were last seen. */
  rows(): readonly NodeRow[];
  /** Whether the row was renewed lately. */
  isAlive(row: NodeRow): boolean;
  /** Whether the row was renewed since it was first seen. */
  isRenewed(row: NodeRow): boolean;
};

export type NodeRowsParts = {
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
  /** Of this node; null while it has none. */
  readonly ownId: () => string | null;
  /** Whether what a look finds is all that there is: not before every lease of another server is over. */
  readonly maySayAll: () => boolean;
};

export function createNodeRows({ monotonicMs, wallMs, ownId, maySayAll }: NodeRowsParts): NodeRows {
  const seen = new Map<string, Seen>();
  const waits = new Set<Wait>();
  let newest: readonly NodeRow[] = [];
  let looks = 0;

  function noteRenewals(rows: readonly NodeRow[]): void {
    const nowMs = monotonicMs();
    const ids = new Set(rows.map(({ id }) => id));
    for (const id of seen.keys()) {
      if (!ids.has(id)) {
        seen.delete(id);
      }
    }
    for (const { id, renewals } of rows) {
      const before = seen.get(id);
      if (before?.renewals !== renewals) {
        seen.set(id, { renewals, sinceMs: nowMs, isRenewed: before !== undefined });
      }
    }
  }

  /** A node that ends in good order takes its row with it while its lease is young. */
  function noteDropped(rows: readonly NodeRow[]): void {
    const ids = new Set(rows.map(({ id }) => id));
    const dropped = newest.filter((row) => !ids.has(row.id) && unrenewedMs(row) >= leaseMs);
    for (const { id, name, acked_revision } of dropped) {
      for (const { revision, dropped: ofWait } of waits) {
        if (acked_revision < revision) {
          ofWait.set(id, name);
        }
      }
    }
  }

  function unrenewedMs(row: NodeRow): number {
    return monotonicMs() - (seen.get(row.id)?.sinceMs ?? monotonicMs());
  }

  /** Its own row is there: a server that has lost it may have lost others. */
  function isAcknowledged(revision: number): boolean {
    return (
      maySayAll() &&
      newest.some(({ id }) => id === ownId()) &&
      newest.every(({ acked_revision }) => acked_revision >= revision)
    );
  }

  function settlementOf(wait: Wait): Settlement {
    const silent = new Map<string, Holder>();
    const unconfirmed: Unconfirmed[] = [];
    let acknowledged = 0;
    for (const row of newest) {
      const lags = row.acked_revision < wait.revision;
      const before = wait.silentBefore?.get(row.id) ?? 0;
      const named = row.silent.filter(({ number }) => number > before);
      for (const { identity, heardAtMs } of named) {
        silent.set(JSON.stringify([identity, heardAtMs]), { kind: "gateway", identity, heardAtMs });
      }
      acknowledged += lags ? 0 : row.holders;
      if (lags && row.id !== ownId()) {
        const node: Holder = { kind: "node", identity: row.name, heardAtMs: null };
        if (row.grace_ms > 0) {
          unconfirmed.push({ ...node, untilMs: wallMs() + row.grace_ms });
        } else if (named.length === 0) {
          silent.set(JSON.stringify([row.id]), node);
        }
      }
    }
    for (const [id, name] of wait.dropped) {
      silent.set(JSON.stringify([id]), { kind: "node", identity: name, heardAtMs: null });
    }
    return {
      acknowledged,
      silent: [...silent.values()].slice(0, maxNamed),
      unconfirmed: unconfirmed.slice(0, maxNamed),
    };
  }

  function end(wait: Wait): void {
    waits.delete(wait);
    wait.answer(settlementOf(wait));
  }

  function answerWaitedOut(): void {
    for (const wait of waits) {
      if (monotonicMs() >= wait.endMs) {
        end(wait);
      }
    }
  }

  return {
    look() {
      looks += 1;
      return looks;
    },

    looked(look, rows) {
      noteDropped(rows);
      newest = rows;
      noteRenewals(rows);
      for (const wait of waits) {
        if (look > wait.afterLook) {
          wait.silentBefore ??= new Map(rows.map(({ id, silent }) => [id, silent[0]?.number ?? 0]));
          if (isAcknowledged(wait.revision)) {
            end(wait);
          }
        }
      }
      return rows.filter((row) => row.id !== ownId() && unrenewedMs(row) >= settleMs + row.grace_ms);
    },

    wait(revision, answer) {
      waits.add({
        revision,
        afterLook: looks,
        endMs: monotonicMs() + settleMs,
        silentBefore: null,
        dropped: new Map(),
        answer,
      });
    },

    answerWaitedOut,
    isWaitedFor: () => waits.size > 0,

    nextEndMs() {
      const [oldest] = waits;
      return oldest?.endMs ?? null;
    },

    rows: () => newest,
    isAlive: (row) => unrenewedMs(row) < settleMs,
    isRenewed: ({ id }) => seen.get(id)?.isRenewed === true,
  };
}

/** Names those of a report in a row, newest first. */
export function nameSilent(
  named: readonly SilentGateway[],
  silentSoFar: number,
  report: HoldersReport,
  nowMs: number,
): readonly SilentGateway[] {
  const fresh = report.silent.map(({ identity, heardAtMs }, index) => ({
    identity,
    heardAtMs,
    number: silentSoFar + index + 1,
  }));
  const still = named.filter(({ heardAtMs }) => heardAtMs === null || heardAtMs > nowMs - namedForMs);
  return [...fresh.toReversed(), ...still].slice(0, maxNamed);
}
