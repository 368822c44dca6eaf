import { KnownOutage, undecided } from "../../../authority/errors.ts";
import type { HoldersReport, Mark, Settlement, Since, TokenChange } from "../../../authority/freshness.ts";
import { type Action, emptyHead, type JournalHead } from "../../../authority/journal.ts";
import { leaseMs } from "../../../authority/lease.ts";
import type { Log } from "../../../machine/log.ts";
import { type Clocks, createNodeLease, type Moment } from "./node-lease.ts";
import { createNodeRows, type DeadRow, type NodeRow, nameSilent, type SilentGateway } from "./node-rows.ts";
import { createRecentChanges, maxRecent } from "./recent-changes.ts";

/** One row of the poll: a change, oldest first. */
export type ChangeRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly action: Action;
  readonly hash: Uint8Array;
  /** Null where no account was changed. */
  readonly account: string | null;
  /** Null where no token was changed. */
  readonly token_id: string | null;
  /** Of every key that the token has or had. */
  readonly digests: readonly Uint8Array[];
  /** The revision that the poll was sent with, and the hash that the database has of it. */
  readonly known_revision: number;
  readonly known_hash: Uint8Array | null;
  /** Of the node's memory when the poll was sent. */
  readonly generation: number;
};

/** What a poll asks by: the changes after this revision, or the newest ones where there are too many. */
export type Poll = { readonly knownRevision: number; readonly generation: number };

/** A renewal of the lease, as it is sent: the row is written only where the database has the change that is known. */
export type Renewal = {
  readonly rowId: string;
  /** By both clocks, from before it was sent. */
  readonly sent: Moment;
  readonly acknowledges: number;
  readonly holders: number;
  readonly silent: readonly SilentGateway[];
  readonly knownRevision: number;
  readonly knownHash: Uint8Array;
  readonly generation: number;
};

/** What a renewal answers: of one moment, and committed. */
export type RenewalRow = {
  /** 1 where the row was there and was written. */
  readonly written: number;
  readonly head: number;
  /** Of the known revision; null where the database has no such change. */
  readonly known_hash: Uint8Array | null;
  readonly authority_id: string;
  readonly era: number;
  readonly oldest_version: number;
  readonly database_ms: number;
  readonly is_synchronous: boolean;
};

/** Why a node serves nothing, though the database answers. */
export const refusalReasons = [
  /** The journal is not the one that this node has applied: changes that were answered may be gone. */
  "JOURNAL_WENT_BACK",
  /** The node's clock and the database's are more than 5 s apart. */
  "CLOCK_APART",
  /** The database was migrated, and this release can no longer serve it. */
  "RELEASE_TOO_OLD",
] as const;
export type RefusalReason = (typeof refusalReasons)[number];

export type NodeRulesOptions = Clocks & {
  readonly name: string;
  /** The version of the schema that this release speaks. */
  readonly schemaVersion: number;
  /** For how long memory lives on after the lease when the database cannot be reached. */
  readonly graceMs: number;
  readonly log: Log;
};

const warnApartMs = 1000;
/** Clocks that are further apart than this decide and change nothing. */
export const refuseApartMs = 5000;
/** After so many renewals in a row that were not answered in time, the database counts as out of reach. */
const maxMissed = 3;

/**
 * The rules by which a node stays fresh (ARCHITECTURE.md tells why no stale decision comes of them): what it may decide
 * from, what it acknowledges, and when a change is settled. It sends nothing and has no timers: its driver sends what
 * it says, and tells it what was answered.
 */
export type NodeRules = ReturnType<typeof createNodeRules>;

export function createNodeRules(options: NodeRulesOptions) {
  const { name, schemaVersion, graceMs, log, monotonicMs, wallMs } = options;
  const lease = createNodeLease(options);
  const recent = createRecentChanges(emptyHead);
  const rows = createNodeRows({ monotonicMs, wallMs, ownId: () => rowId, maySayAll: lease.isSeasoned });
  let rowId: string | null = null;
  /** The database, by what was first heard of it. */
  let authority: { readonly id: string; readonly era: number } | null = null;
  /** Of what is known of the journal: another one each time that it begins anew. */
  let generation = 0;
  /** Moves with every change that is applied, and when everything is to be forgotten. */
  let signal = 1;
  /** Of marks from before it, everything may have changed. */
  let forgottenAt = 1;
  let refusal: RefusalReason | null = null;
  let isClosed = false;
  /** The journal is to be read anew, from its newest changes. */
  let mustStart = true;
  let report: HoldersReport | null = null;
  let silent: readonly SilentGateway[] = [];
  let silentSoFar = 0;
  /** Of who was silent, and whether anybody holds a lease. */
  let isReportTold = true;
  /** Applied, and not acknowledged yet. Oldest first. */
  let takeaways: number[] = [];
  let acknowledged = 0;
  let newestHead = 0;
  let missed = 0;
  let isMissedCounted = false;
  let clockApartMs: number | null = null;
  let isWarnedOfClock = false;
  let isSynchronous: boolean | null = null;
  let renewals = 0;
  let isLapseTold = false;
  let isGraceTold = false;
  let hasNamesake = false;
  const moved = new Set<() => void>();

  function move(): void {
    signal += 1;
    for (const tell of moved) {
      tell();
    }
    moved.clear();
  }

  /** What was remembered of the changes so far is worth nothing. */
  function forgetAll(): void {
    takeaways = [];
    forgottenAt = signal + 1;
    move();
  }

  function serveNothing(reason: RefusalReason, fields: object, message: string): void {
    lease.end();
    if (refusal !== reason) {
      refusal = reason;
      log.error({ node: name, reason, ...fields }, message);
      move();
    }
  }

  /** Of the reasons that end by themselves. */
  function allowAgain(reason: RefusalReason): void {
    if (refusal === reason) {
      refusal = null;
      log.info({ node: name, reason }, "the node serves again");
    }
  }

  function wentBack(found: object): void {
    const { revision } = recent.head();
    serveNothing(
      "JOURNAL_WENT_BACK",
      { appliedRevision: revision, ...found },
      "the database has lost changes that this node has applied: nothing is served until recover has run",
    );
  }

  /** Whether the database is the one, and of the time, that this node knows. */
  function isKnownAuthority({ authority_id: id, era }: RenewalRow): boolean {
    authority ??= { id, era };
    if (id !== authority.id || era < authority.era) {
      wentBack({ era, knownEra: authority.era, isOtherDatabase: id !== authority.id });
      return false;
    }
    if (era > authority.era) {
      log.warn({ node: name, era, knownEra: authority.era }, "the database was recovered: the node begins anew");
      authority = { id, era };
      refusal = refusal === "JOURNAL_WENT_BACK" ? null : refusal;
      lease.end();
      mustStart = true;
      forgetAll();
      return false;
    }
    return refusal !== "JOURNAL_WENT_BACK";
  }

  /** As far apart as the clocks are for certain: the database read its own between the two readings of ours. */
  function compareClocks(sentMs: number, databaseMs: number): void {
    const answeredMs = wallMs();
    clockApartMs = databaseMs < sentMs ? sentMs - databaseMs : databaseMs > answeredMs ? answeredMs - databaseMs : 0;
    const apartMs = Math.abs(clockApartMs);
    if (apartMs > refuseApartMs) {
      serveNothing("CLOCK_APART", { clockApartMs }, "the clocks of this node and of the database are too far apart");
    } else {
      allowAgain("CLOCK_APART");
    }
    if (apartMs > warnApartMs && !isWarnedOfClock) {
      log.warn({ node: name, clockApartMs }, "the clocks of this node and of the database are apart");
    }
    isWarnedOfClock = apartMs > warnApartMs;
  }

  function compareVersions(oldestVersion: number): void {
    if (oldestVersion > schemaVersion) {
      serveNothing("RELEASE_TOO_OLD", { oldestVersion, schemaVersion }, "the database was migrated past this release");
    } else {
      allowAgain("RELEASE_TOO_OLD");
    }
  }

  function apply(row: ChangeRow): void {
    recent.add(toChange(row), row.at_ms, row.hash);
    if (row.action !== "create" && row.action !== "attest") {
      takeaways.push(row.revision);
    }
  }

  function begin(head: JournalHead): void {
    generation += 1;
    recent.restart(head);
  }

  /** Begins with the oldest of these, of which only the hash is of use. */
  function startFrom(newest: readonly ChangeRow[]): void {
    if (hasGap(newest)) {
      wentBack({ knownRevision: newest[0]?.revision ?? 0 });
      return;
    }
    const [first, ...others] = newest;
    if (first === undefined) {
      begin(emptyHead);
    } else if (first.revision === 1) {
      begin(emptyHead);
      apply(first);
    } else {
      begin({ revision: first.revision, atMs: first.at_ms, hash: first.hash });
    }
    for (const row of others) {
      apply(row);
    }
    mustStart = false;
    forgetAll();
    lease.applied(recent.head().revision);
  }

  function take(newest: readonly ChangeRow[]): void {
    const [first] = newest;
    const isForgotten = mustStart || first?.generation !== generation;
    if (first === undefined || isForgotten || refusal === "JOURNAL_WENT_BACK") {
      return;
    }
    const expected = recent.hashOf(first.known_revision);
    if (first.known_revision > 0 && expected !== null && !isSame(expected, first.known_hash)) {
      wentBack({ knownRevision: first.known_revision });
      return;
    }
    const { revision } = recent.head();
    const isKnown = (row: ChangeRow) => row.revision <= revision;
    const differs = newest.find((row) => isKnown(row) && !isSame(recent.hashOf(row.revision) ?? row.hash, row.hash));
    if (differs !== undefined) {
      wentBack({ knownRevision: differs.revision });
      return;
    }
    const added = newest.filter((row) => !isKnown(row));
    if (added.length === 0) {
      return;
    }
    if (hasGap(added)) {
      wentBack({ knownRevision: revision });
      return;
    }
    if ((added[0]?.revision ?? 0) > revision + 1) {
      // Too many to follow: the newest are enough to go on from.
      startFrom(added);
      return;
    }
    for (const row of added) {
      apply(row);
    }
    if (takeaways.length > maxRecent) {
      takeaways = takeaways.slice(-maxRecent);
    }
    move();
    lease.applied(recent.head().revision);
  }

  /** Each holder of a lease of this node knows of the changes up to here. */
  function ackable(): number {
    const applied = recent.head().revision;
    return report === null ? applied : Math.min(applied, report.settledRevision);
  }

  function isInGrace(): boolean {
    if (graceMs === 0 || refusal !== null || isClosed || missed < maxMissed) {
      return false;
    }
    const overMs = lease.overForMs();
    return overMs !== null && overMs < graceMs;
  }

  /** Once for each lease that ran out, and once when there is one again. */
  function tellOfLapse(): void {
    const isOver = lease.overForMs() !== null && refusal === null && !isClosed;
    if (isOver && !isLapseTold) {
      isLapseTold = true;
      log.warn({ node: name }, "the lease of this node ran out: nothing is decided until it is renewed");
    } else if (isLapseTold && lease.isHeld()) {
      isLapseTold = false;
      log.info({ node: name }, "the lease of this node is renewed");
    }
  }

  /** Once when memory lives on by the grace, and once when the grace is over and there is no lease yet. */
  function tellOfGrace(): void {
    const isHeld = lease.isHeld();
    const isInIt = !isHeld && isInGrace();
    if (isInIt && !isGraceTold) {
      log.warn({ node: name, graceMs }, "this node is in its grace: memory decides without the database");
    } else if (isGraceTold && !isInIt && !isHeld && refusal === null && !isClosed) {
      log.warn(
        { node: name, graceMs },
        "the grace of this node is over: nothing is decided until its lease is renewed",
      );
    }
    isGraceTold = isInIt;
  }

  function isNamesake(row: NodeRow): boolean {
    return row.name === name && row.id !== rowId && rows.isRenewed(row) && rows.isAlive(row);
  }

  /** The row that a process of this name left behind when it was killed is renewed by nobody. */
  function tellOfNamesake(found: readonly NodeRow[]): void {
    const isFound = found.some(isNamesake);
    if (isFound && !hasNamesake) {
      log.error(
        { node: name },
        "another process that is alive has the name of this node: give each a TOKEN_AUTHORITY_NODE_NAME of its own",
      );
    }
    hasNamesake = isFound;
  }

  function requireServing(): void {
    if (refusal !== null) {
      throw undecided(new KnownOutage(refusal));
    }
    if (isClosed) {
      throw undecided(new Error("the store is closed"));
    }
  }

  return {
    /** A row with this id was made. It gives no lease: the first renewal does. */
    registered(id: string): void {
      rowId = id;
      lease.end();
    },
    rowId: () => rowId,
    /** Also while the journal has gone back: renewals tell when it was recovered. */
    mustRegister: () => rowId === null && !isClosed,

    /** The session is another one. */
    reconnected: lease.reconnected,

    /** Counts the renewals that are not answered in time. Once before each that is sent because it is time. */
    tick(): void {
      tellOfLapse();
      missed = isMissedCounted ? missed + 1 : 0;
      isMissedCounted = true;
      tellOfGrace();
    },

    /** The next renewal, to be sent now; null while there is no row. */
    renewal(): Renewal | null {
      if (rowId === null || isClosed) {
        return null;
      }
      const sent = lease.moment();
      const acknowledges = mustStart ? 0 : ackable();
      takeaways = takeaways.filter((revision) => revision > acknowledges);
      isReportTold = true;
      const { revision, hash } = mustStart ? emptyHead : recent.head();
      return {
        rowId,
        sent,
        acknowledges,
        holders: report?.holders ?? 0,
        silent,
        knownRevision: revision,
        knownHash: hash,
        generation,
      };
    },

    /** Whether there is something to acknowledge at once, which a change may wait for. */
    hasNews(): boolean {
      if (rowId === null || isClosed) {
        return false;
      }
      const [oldest] = takeaways;
      return !isReportTold || (oldest !== undefined && oldest <= ackable());
    },

    /** A renewal was answered, and is committed. */
    renewed(renewal: Renewal, row: RenewalRow): void {
      if (isClosed) {
        return;
      }
      isMissedCounted = false;
      missed = 0;
      newestHead = Math.max(newestHead, row.head);
      isSynchronous = row.is_synchronous;
      if (!isKnownAuthority(row) || mustStart) {
        return;
      }
      const differs = renewal.knownRevision > 0 && !isSame(renewal.knownHash, row.known_hash);
      if (differs && renewal.generation !== generation) {
        return;
      }
      if (differs) {
        wentBack({ knownRevision: renewal.knownRevision });
        return;
      }
      compareVersions(row.oldest_version);
      if (refusal !== "RELEASE_TOO_OLD") {
        compareClocks(renewal.sent.wallMs, row.database_ms);
      }
      if (renewal.rowId !== rowId) {
        return;
      }
      if (row.written === 0) {
        log.warn({ node: name }, "the row of this node is gone: it registers again");
        rowId = null;
        lease.end();
        forgetAll();
        return;
      }
      renewals += 1;
      acknowledged = Math.max(acknowledged, renewal.acknowledges);
      if (refusal === null) {
        lease.renewed(renewal.sent, row.head);
        tellOfLapse();
      }
    },

    /** What the row says by now of what is acknowledged. */
    acknowledged(revision: number): void {
      acknowledged = Math.max(acknowledged, revision);
    },

    /** Whether the next poll is to ask for the newest changes, whatever is known. */
    mustStart: () => mustStart,
    poll: (): Poll => ({ knownRevision: mustStart ? 0 : recent.head().revision, generation }),
    start(newest: readonly ChangeRow[]): void {
      newestHead = 0;
      startFrom(newest);
    },
    take,

    look: rows.look,
    looked(look: number, found: readonly NodeRow[]): readonly DeadRow[] {
      const dead = rows.looked(look, found);
      tellOfNamesake(found);
      return dead;
    },
    isWaitedFor: rows.isWaitedFor,
    nextEndMs: rows.nextEndMs,
    answerWaitedOut: rows.answerWaitedOut,
    wait: (revision: number, answer: (settlement: Settlement) => void): void => rows.wait(revision, answer),
    rows: rows.rows,
    isAlive: rows.isAlive,
    isNamesake,

    report(now: HoldersReport | null): void {
      isReportTold &&= (now === null) === (report === null);
      report = now;
      if (now !== null && now.silent.length > 0) {
        silent = nameSilent(silent, silentSoFar, now, wallMs());
        silentSoFar += now.silent.length;
        isReportTold = false;
      }
    },

    head: (): JournalHead => recent.head(),
    hashOf: recent.hashOf,
    mark(): Mark {
      if (isClosed) {
        throw undecided(new Error("the store is closed"));
      }
      return { revision: recent.head().revision, signal };
    },
    /** Hot path. */
    isFresh: (mark: Mark): boolean => mark.signal === signal && (lease.isHeld() || isInGrace()),
    changesSince(mark: Mark, limit: number): Since {
      requireServing();
      const changes = mark.signal < forgottenAt ? null : recent.since(mark.revision, limit);
      return { changes, mark: { revision: recent.head().revision, signal } };
    },
    /** Calls back, once, when there may be changes after the mark: at once where there are. */
    onMoved(mark: Mark, tell: () => void): void {
      if (mark.signal !== signal || isClosed) {
        tell();
      } else {
        moved.add(tell);
      }
    },

    isHeld: lease.isHeld,
    leftMs: lease.leftMs,
    isInGrace,
    requireServing,
    refusal: () => refusal,
    /** Decides nothing any more. Returns for how long gateways may hold leases of this node, in milliseconds. */
    close(): number {
      // Theirs go on where the lease of this node has ended before its time.
      const leftMs = report === null ? 0 : leaseMs;
      isClosed = true;
      lease.end();
      move();
      return leftMs;
    },
    readings: () => ({
      appliedRevision: recent.head().revision,
      acknowledgedRevision: acknowledged,
      behind: Math.max(0, newestHead - recent.head().revision),
      leaseLeftMs: lease.leftMs(),
      isInGrace: !lease.isHeld() && isInGrace(),
      refusal,
      clockApartMs,
      isSynchronous,
      renewals,
      lapses: lease.lapses(),
    }),
  };
}

/** Whether a change between two of these is missing. */
function hasGap(rows: readonly ChangeRow[]): boolean {
  return rows.some(({ revision }, index) => revision !== (rows[0]?.revision ?? 0) + index);
}

function toChange({ revision, action, account, token_id, digests }: ChangeRow): TokenChange {
  return { revision, action, digests: account === null ? digests : null, tokenId: token_id ?? "", account };
}

function isSame(one: Uint8Array, other: Uint8Array | null): boolean {
  return other !== null && Buffer.compare(one, other) === 0;
}
