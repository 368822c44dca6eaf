import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { KnownOutage, undecided } from "../../../authority/errors.ts";
import type { Freshness } from "../../../authority/freshness.ts";
import type { JournalHead } from "../../../authority/journal.ts";
import { graceMs as leaseGraceMs } from "../../../authority/lease.ts";
import { describeError } from "../../../machine/describe-error.ts";
import type { Log } from "../../../machine/log.ts";
import type { Statement } from "../session.ts";
import { createNodeFreshness } from "./node-freshness.ts";
import type { NodeRow } from "./node-rows.ts";
import {
  type ChangeRow,
  createNodeRules,
  type NodeRules,
  type RefusalReason,
  type Renewal,
  type RenewalRow,
} from "./node-rules.ts";

/** How a node is, as another one or it itself sees it. */
export type NodeState = {
  readonly name: string;
  /** Whether it has renewed its lease lately. */
  readonly isAlive: boolean;
  readonly acknowledgedRevision: number;
  /** How many gateways hold a lease of it. */
  readonly holders: number;
  /** The identities of gateways that did not acknowledge in the last minute, newest first. At most 100. */
  readonly silent: readonly string[];
  /** Whether it is another node that is alive and has the name of the one that tells of it. */
  readonly isNamesake: boolean;
};

/** What a node tells of itself and of the others. */
export type NodeReadings = {
  readonly name: string;
  readonly appliedRevision: number;
  readonly acknowledgedRevision: number;
  /** The newest revision that the database has told of, less the applied one. */
  readonly behind: number;
  /** 0 where there is none. */
  readonly leaseLeftMs: number;
  /** Whether memory lives on after the lease, because the database cannot be reached and a grace was allowed. */
  readonly isInGrace: boolean;
  /** Null while it serves, or would with a lease. */
  readonly refusal: RefusalReason | null;
  /** The node's clock less the database's, as far as that is certain; null before the first renewal. */
  readonly clockApartMs: number | null;
  /** Whether a COMMIT waits for a standby; null before the first renewal. */
  readonly isSynchronous: boolean | null;
  /** Counts since the start. */
  readonly renewals: number;
  readonly polls: number;
  readonly lapses: number;
  /** Every row, its own too, as of the last look. */
  readonly nodes: readonly NodeState[];
};

/** A serving thread as one of the nodes of a database. */
export type Node = AsyncDisposable & {
  readonly freshness: Freshness;
  /** The newest change that was applied. */
  head(): JournalHead;
  /** Whether it has a lease and the database answers it, or memory lives on by the grace. */
  isServing(): boolean;
  appliedRevision(): number;
  /** Throws UNDECIDED while the node must serve nothing at all: every read and write asks this first. */
  requireServing(): void;
  /**
   * The poll, to be sent right behind a COMMIT or a read: so this thread has applied its own changes, and what it read,
   * before it answers.
   */
  poll(): { readonly statement: Statement; readonly values: readonly unknown[] };
  /** Applies the rows of a poll, whoever sent it. */
  take(rows: readonly ChangeRow[]): void;
  readings(): NodeReadings;
};

export type NodeOptions = {
  readonly name: string;
  /** The version of the schema that this release speaks. */
  readonly schemaVersion: number;
  /** For how long memory lives on after the lease when the database cannot be reached. */
  readonly graceMs: number;
  readonly log: Log;
};

/** What a node needs of its session; `session.ts` has the whole of it. */
export type NodeSession = {
  /** How often the cluster was failed over; 0 where it is one server. */
  readonly timeline: number;
  run<Row>(
    statement: Statement,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: readonly Row[]; readonly hasWarning: boolean }>;
  isLost(): boolean;
  /** Resolves once the session is of no use any more. */
  readonly lost: Promise<Error>;
  destroy(): void;
};

/** What a node needs of its line. */
export type NodeLine = {
  /** Rejects with UNDECIDED when there is none within a second. */
  session(): Promise<NodeSession>;
};

const renewEveryMs = 500;
const pollEveryMs = 20;
const lookEveryMs = 5;
/** The newest changes: more are not followed one by one. */
const maxRows = 1001;
/** A server of several that answers no renewal for so long may be none any more. */
const silentServerMs = 1500;
const silentOnlyServerMs = 5000;
const maxRenewalsUnderWay = 16;
/** From a lease and a poll that is not older. */
const maxPollAgeMs = 1000;
const farewellMs = 1000;

export const insertNode: Statement = {
  name: "insert_node",
  text: `INSERT INTO token_authority.node (id, name, schema_version, grace_ms, renewals, acked_revision, watchers, silent)
    VALUES ($1, $2, $3, $4, 0, 0, 0, '[]')`,
};

/** Always ends with the newest change. Where there are more than `maxRows`, the oldest are left out. */
const pollChanges: Statement = {
  name: "poll_changes",
  text: `SELECT change.revision, change.at_ms, change.action, change.hash, change.account, token.id AS token_id,
      ARRAY(SELECT digest FROM token_authority.token_key WHERE token_revision = change.token_revision) AS digests,
      $1::bigint AS known_revision, (SELECT hash FROM token_authority.journal WHERE revision = $1) AS known_hash,
      $2::integer AS generation
    FROM (SELECT revision, at_ms, action, hash, account, token_revision FROM token_authority.journal
        WHERE revision > $1 ORDER BY revision DESC LIMIT ${maxRows}) AS change
      LEFT JOIN token_authority.token ON token.revision = change.token_revision
    ORDER BY change.revision`,
};

/**
 * One statement, and so of one moment: what it tells of the journal is of when the row was written. The row is written
 * only where the database has the change that is known: who has applied another history acknowledges nothing.
 */
const renewNode: Statement = {
  name: "renew_node",
  text: `WITH mine AS (
      UPDATE token_authority.node SET renewals = renewals + 1, acked_revision = greatest(acked_revision, $2),
        watchers = $3, silent = $4
      WHERE id = $1 AND ($5::bigint = 0 OR EXISTS (SELECT FROM token_authority.journal WHERE revision = $5 AND hash = $6))
      RETURNING 1)
    SELECT (SELECT count(*) FROM mine) AS written,
      coalesce((SELECT revision FROM token_authority.journal ORDER BY revision DESC LIMIT 1), 0) AS head,
      (SELECT hash FROM token_authority.journal WHERE revision = $5) AS known_hash,
      id AS authority_id, era, oldest_version, extract(epoch FROM clock_timestamp())::float8 * 1000 AS database_ms,
      current_setting('synchronous_standby_names') <> '' AS is_synchronous
    FROM token_authority.authority`,
};

/**
 * Tells what is applied, between two renewals, and renews no lease: so its commit waits for no disk and no standby. A
 * server that loses it loses no more than time, since the next renewal tells it again.
 */
export const acknowledge: Statement = {
  name: "acknowledge",
  text: `UPDATE token_authority.node SET acked_revision = greatest(acked_revision, $2), watchers = $3, silent = $4
    WHERE id = $1 AND ($5::bigint = 0 OR EXISTS (SELECT FROM token_authority.journal WHERE revision = $5 AND hash = $6))
      AND set_config('synchronous_commit', 'off', true) = 'off'
    RETURNING acked_revision`,
};

const lookAtNodes: Statement = {
  name: "look_at_nodes",
  text: `SELECT id, name, grace_ms, renewals, acked_revision, watchers AS holders, silent FROM token_authority.node`,
};

const dropNode: Statement = {
  name: "drop_node",
  text: "DELETE FROM token_authority.node WHERE id = $1 AND renewals = $2 RETURNING name",
};

const leaveNode: Statement = { name: "leave_node", text: "DELETE FROM token_authority.node WHERE id = $1" };

/**
 * Makes this thread a node of the database. It has a lease when this resolves, unless it may have none: then its
 * readings tell why. Rejects with UNDECIDED where the database does not answer.
 */
export async function openNode(line: NodeLine, options: NodeOptions): Promise<Node> {
  const rules = createNodeRules({ ...options, monotonicMs: () => performance.now(), wallMs: () => Date.now() });
  const driver = new Driver(line, rules, options);
  try {
    await driver.start();
  } catch (error) {
    await driver.end();
    throw error;
  }
  return {
    freshness: createNodeFreshness({
      rules,
      onNews: () => driver.onNews(),
      untilRenewed: (ms) => driver.untilRenewed(ms),
    }),
    head: rules.head,
    isServing: () => driver.isServing(),
    appliedRevision: () => rules.head().revision,
    requireServing: rules.requireServing,
    poll: () => ({ statement: pollChanges, values: pollValues(rules) }),
    take(rows) {
      rules.take(rows);
      driver.onNews();
    },
    readings: () => ({
      name: options.name,
      ...rules.readings(),
      polls: driver.polls,
      nodes: rules.rows().map((row) => ({
        name: row.name,
        isAlive: rules.isAlive(row),
        acknowledgedRevision: row.acked_revision,
        holders: row.holders,
        silent: row.silent.map(({ identity }) => identity),
        isNamesake: rules.isNamesake(row),
      })),
    }),
    [Symbol.asyncDispose]: () => driver.end(),
  };
}

function pollValues(rules: NodeRules): readonly unknown[] {
  const { knownRevision, generation } = rules.poll();
  return [knownRevision, generation];
}

function renewalValues(renewal: Renewal): readonly unknown[] {
  const { rowId, acknowledges, holders, silent, knownRevision, knownHash } = renewal;
  return [rowId, acknowledges, holders, JSON.stringify(silent), knownRevision, knownHash];
}

type AcknowledgedRow = { readonly acked_revision: number };

/** Sends what the rules say, when it is time, and tells them what was answered. */
class Driver {
  polls = 0;
  readonly #line: NodeLine;
  readonly #rules: NodeRules;
  readonly #options: NodeOptions;
  readonly #closing = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #session: NodeSession | null = null;
  #keeping: Promise<void> = Promise.resolve();
  #isPolling = false;
  #isLooking = false;
  #isRegistering = false;
  #isAcknowledging = false;
  #renewalsUnderWay = 0;
  #oldestRenewalMs: number | null = null;
  #polledMs = Number.NEGATIVE_INFINITY;
  #nextLook: NodeJS.Timeout | undefined;
  #nextEnd: NodeJS.Timeout | undefined;
  readonly #waiting = new Set<Pick<PromiseWithResolvers<void>, "resolve" | "reject">>();
  /** Statements that failed when they were last tried: each is told of once. */
  readonly #failing = new Set<string>();
  readonly #aborted = new Promise<void>((resolve) => {
    this.#closing.signal.addEventListener("abort", () => resolve(), { once: true });
  });

  constructor(line: NodeLine, rules: NodeRules, options: NodeOptions) {
    this.#line = line;
    this.#rules = rules;
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#attach(await this.#line.session());
    this.#keeping = this.#keepAttached();
    this.#timers.push(
      setInterval(() => this.#tick(), renewEveryMs),
      setInterval(() => void this.#poll(), pollEveryMs),
    );
  }

  /** The first session, or another one after one was lost: what is known may have been of another server. */
  async #attach(session: NodeSession): Promise<void> {
    this.#rules.reconnected();
    this.#session = session;
    this.#renewalsUnderWay = 0;
    this.#oldestRenewalMs = null;
    this.#isPolling = false;
    this.#isLooking = false;
    this.#isAcknowledging = false;
    await this.#register();
    await Promise.all([this.#poll(), this.#look(), this.#renew()]);
    // What was acknowledged before the journal was read is nothing.
    await Promise.all([this.#renew(), this.#poll()]);
  }

  async #keepAttached(): Promise<void> {
    let session = this.#session;
    while (!this.#closing.signal.aborted) {
      await Promise.race([session?.lost, this.#aborted]);
      this.#session = null;
      session = await this.#nextSession();
    }
  }

  async #nextSession(): Promise<NodeSession | null> {
    while (!this.#closing.signal.aborted) {
      try {
        const session = await this.#line.session();
        await this.#attach(session);
        return session;
      } catch {
        // The line tells of it. What it hands out may be lost already.
        await pause(pollEveryMs, undefined, { signal: this.#closing.signal }).catch(() => {});
      }
    }
    return null;
  }

  #tick(): void {
    this.#rules.tick();
    const silentMs = this.#session?.timeline === 0 ? silentOnlyServerMs : silentServerMs;
    if (this.#oldestRenewalMs !== null && performance.now() - this.#oldestRenewalMs > silentMs) {
      this.#session?.destroy();
      return;
    }
    void this.#register();
    void this.#renew();
    void this.#poll();
    void this.#look();
  }

  /** Something can be acknowledged, or a change waits. */
  onNews(): void {
    if (this.#rules.hasNews()) {
      void this.#acknowledge();
    }
    if (this.#rules.isWaitedFor()) {
      if (this.#nextLook === undefined) {
        void this.#look();
      }
      this.#endInTime();
    }
  }

  async #register(): Promise<void> {
    const session = this.#session;
    if (session === null || this.#isRegistering || !this.#rules.mustRegister()) {
      return;
    }
    this.#isRegistering = true;
    const id = randomUUID();
    const { name, schemaVersion, graceMs } = this.#options;
    const made = await this.#ask(session, insertNode, [id, name, schemaVersion, graceMs]);
    this.#isRegistering = false;
    if (made !== null) {
      this.#rules.registered(id);
    }
  }

  async #renew(): Promise<void> {
    const session = this.#session;
    if (session === null || this.#renewalsUnderWay >= maxRenewalsUnderWay) {
      return;
    }
    const renewal = this.#rules.renewal();
    if (renewal === null) {
      return;
    }
    this.#renewalsUnderWay += 1;
    this.#oldestRenewalMs ??= performance.now();
    const rows = await this.#ask<RenewalRow>(session, renewNode, renewalValues(renewal));
    if (session !== this.#session) {
      return;
    }
    this.#renewalsUnderWay -= 1;
    this.#oldestRenewalMs = this.#renewalsUnderWay === 0 ? null : performance.now();
    const [row] = rows ?? [];
    if (row !== undefined) {
      this.#rules.renewed(renewal, row);
      this.#tellRenewed();
    }
  }

  /** One at a time: what comes meanwhile is told by the next one. */
  async #acknowledge(): Promise<void> {
    const session = this.#session;
    if (session === null || this.#isAcknowledging) {
      return;
    }
    const renewal = this.#rules.renewal();
    if (renewal === null) {
      return;
    }
    this.#isAcknowledging = true;
    const rows = await this.#ask<AcknowledgedRow>(session, acknowledge, renewalValues(renewal));
    if (session !== this.#session) {
      return;
    }
    this.#isAcknowledging = false;
    const [row] = rows ?? [];
    if (row !== undefined) {
      this.#rules.acknowledged(row.acked_revision);
    }
    this.onNews();
  }

  async #poll(): Promise<void> {
    const session = this.#session;
    if (session === null || this.#isPolling) {
      return;
    }
    this.#isPolling = true;
    const isStart = this.#rules.mustStart();
    const rows = await this.#ask<ChangeRow>(session, pollChanges, pollValues(this.#rules));
    if (session !== this.#session) {
      return;
    }
    this.#isPolling = false;
    if (rows === null) {
      return;
    }
    this.polls += 1;
    this.#polledMs = performance.now();
    if (isStart) {
      this.#rules.start(rows);
    } else if (rows.length > 0) {
      this.#rules.take(rows);
    }
    this.#tellRenewed();
    this.onNews();
  }

  async #look(): Promise<void> {
    const session = this.#session;
    if (session === null || this.#isLooking) {
      return;
    }
    this.#isLooking = true;
    const look = this.#rules.look();
    const rows = await this.#ask<NodeRow>(session, lookAtNodes, []);
    if (session !== this.#session) {
      return;
    }
    this.#isLooking = false;
    if (rows === null) {
      return;
    }
    for (const { id, renewals } of this.#rules.looked(look, rows)) {
      void this.#drop(session, id, renewals);
    }
    if (this.#rules.isWaitedFor()) {
      this.#lookSoon();
    }
  }

  async #drop(session: NodeSession, id: string, renewals: number): Promise<void> {
    const [dropped] = (await this.#ask<{ readonly name: string }>(session, dropNode, [id, renewals])) ?? [];
    if (dropped !== undefined) {
      const { log, name } = this.#options;
      log.warn({ node: name, gone: dropped.name }, "a node has renewed no lease for too long: no change waits for it");
    }
  }

  #lookSoon(): void {
    this.#nextLook ??= setTimeout(() => {
      this.#nextLook = undefined;
      void this.#look();
    }, lookEveryMs);
  }

  /** Whatever the database answers. */
  #endInTime(): void {
    clearTimeout(this.#nextEnd);
    const endMs = this.#rules.nextEndMs();
    if (endMs !== null) {
      this.#nextEnd = setTimeout(
        () => {
          this.#rules.answerWaitedOut();
          this.#endInTime();
        },
        Math.max(0, Math.ceil(endMs - performance.now())),
      );
    }
  }

  /** Null where the outcome is not known, or is none: a warning says that a commit may not have reached the standby. */
  async #ask<Row>(session: NodeSession, statement: Statement, values: readonly unknown[]): Promise<Row[] | null> {
    try {
      const { rows, hasWarning } = await session.run<Row>(statement, values);
      if (hasWarning) {
        session.destroy();
        return null;
      }
      this.#failing.delete(statement.name);
      return [...rows];
    } catch (error) {
      // Of a lost session the line tells.
      if (!session.isLost() && !this.#failing.has(statement.name)) {
        this.#failing.add(statement.name);
        this.#options.log.warn(
          { node: this.#options.name, statement: statement.name, ...describeError(error) },
          "the database did not do what the node asked for",
        );
      }
      return null;
    }
  }

  /** Resolves with the next renewal that counts. Rejects with UNDECIDED when there is none in time. */
  untilRenewed(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => end(() => reject(undecided(new KnownOutage("the lease was not renewed in time")))),
        ms,
      );
      const end = (tell: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        tell();
      };
      const waiting = { resolve: () => end(resolve), reject: (error: unknown) => end(() => reject(error)) };
      this.#waiting.add(waiting);
    });
  }

  #tellRenewed(): void {
    if (this.#waiting.size > 0 && this.#rules.isHeld()) {
      for (const { resolve } of this.#waiting) {
        resolve();
      }
    }
  }

  isServing(): boolean {
    const isPolled = this.#rules.isHeld() && performance.now() - this.#polledMs < maxPollAgeMs;
    return isPolled || this.#rules.isInGrace();
  }

  /** The row stays for as long as gateways may hold leases of this node: until then changes wait for it. */
  async end(): Promise<void> {
    const leftMs = this.#rules.close();
    for (const { reject } of this.#waiting) {
      reject(undecided(new Error("the store is closed")));
    }
    if (leftMs > 0) {
      await pause(leftMs + leaseGraceMs);
    }
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
    clearTimeout(this.#nextLook);
    const session = this.#session;
    const rowId = this.#rules.rowId();
    this.#closing.abort();
    if (session !== null && rowId !== null) {
      const leaving = session.run(leaveNode, [rowId]).catch(() => {});
      await Promise.race([leaving, pause(farewellMs, undefined, { ref: false })]);
    }
    // A server that stands still would be waited for.
    this.#session?.destroy();
    await this.#keeping;
  }
}
