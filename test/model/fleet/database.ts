import type { NodeRow } from "../../../src/stores/postgres/serving/node-rows.ts";
import type { ChangeRow, Poll, Renewal, RenewalRow } from "../../../src/stores/postgres/serving/node-rules.ts";
import type { Link } from "../link.ts";
import { Thread } from "../simulation.ts";
import type { Change, World } from "../world.ts";

/** What one server holds: the rows of nodes, those of them that a standby has too, and how much of the journal. */
type State = { readonly rows: Map<string, NodeRow>; readonly safeRows: Map<string, NodeRow>; length: number };

/** One server of the database. Of two, the one of the later timeline takes changes. */
export type Server = { readonly timeline: number; readonly thread: Thread; isDead: boolean; state: State };

/** A statement, as its server does it: it reads what was there when it began, and writes when it has committed. */
export type Work<Answer> = {
  /** And its commit waits for the disk and the standby. */
  readonly writes: boolean;
  /** `length` is that of the journal when it began. */
  readonly run: (server: Server, length: number) => Answer;
};

const maxPollRows = 12;
/** Those that wait for a disk. */
const slowCommits = 0.005;
/** That a line was cut. */
const noticedAfterMs = 1000;

/** A database, and after a failover another one beside it that still answers reads. */
export class Database {
  readonly #world: World;
  #primary: Server;
  /** The newest rows, in the order in which they were inserted, with the length of the journal by then. */
  readonly #inserted: { readonly id: string; readonly length: number }[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#primary = this.#serverWith(1, { rows: new Map(), safeRows: new Map(), length: 0 });
  }

  get primary(): Server {
    return this.#primary;
  }

  /**
   * The standby becomes the primary, with all that was committed and has waited for it. The old one goes on answering
   * reads, and commits nothing. With `losesRows` the old one is dead, and the standby was behind: it lacks rows that
   * came since the last change.
   */
  promote(losesRows: boolean): void {
    const { timeline, state } = this.#primary;
    const rows = new Map(state.safeRows);
    this.#primary.isDead = losesRows;
    if (losesRows) {
      for (const { id, length } of this.#inserted) {
        if (length === state.length) {
          rows.delete(id);
        }
      }
    }
    this.#primary = this.#serverWith(timeline + 1, { rows, safeRows: new Map(rows), length: state.length });
  }

  isPrimary(server: Server): boolean {
    return server === this.#primary;
  }

  commit(server: Server, change: Omit<Change, "revision">): number {
    const { disk, history } = this.#world;
    const revision = disk.journal.length + 1;
    disk.journal.push({ revision, ...change });
    server.state.length = revision;
    if (change.token !== null) {
      history.changedToken(change.token, revision);
    }
    if (change.account !== null) {
      history.changedAccount(change.account, revision);
    }
    return revision;
  }

  insert({ state }: Server, id: string, name: string): void {
    this.#put(state, { id, name, grace_ms: 0, renewals: 0, acked_revision: 0, holders: 0, silent: [] });
    this.#inserted.push({ id, length: state.length });
  }

  renew({ state }: Server, { rowId, acknowledges, holders, silent, knownRevision }: Renewal, head: number): RenewalRow {
    const row = state.rows.get(rowId);
    if (row !== undefined) {
      const acked_revision = Math.max(row.acked_revision, acknowledges);
      this.#put(state, { ...row, renewals: row.renewals + 1, acked_revision, holders, silent });
    }
    return {
      written: row === undefined ? 0 : 1,
      head,
      known_hash: knownRevision > state.length ? null : hashOf(knownRevision),
      authority_id: "authority",
      era: 1,
      oldest_version: 1,
      database_ms: this.#world.simulation.nowMs,
      is_synchronous: true,
    };
  }

  /** Until the next renewal no other server has it. */
  acknowledge({ state }: Server, { rowId, acknowledges, holders, silent, knownRevision }: Renewal): void {
    const row = state.rows.get(rowId);
    if (row !== undefined && knownRevision <= state.length) {
      const acked_revision = Math.max(row.acked_revision, acknowledges);
      state.rows.set(rowId, { ...row, acked_revision, holders, silent });
    }
  }

  drop({ state }: Server, id: string, renewals: number): void {
    if (state.rows.get(id)?.renewals === renewals) {
      state.rows.delete(id);
      state.safeRows.delete(id);
    }
  }

  poll({ state }: Server, { knownRevision, generation }: Poll): readonly ChangeRow[] {
    const from = Math.max(knownRevision, state.length - maxPollRows);
    return this.#world.disk.journal.slice(from, state.length).map(({ revision, token, account }) => ({
      revision,
      at_ms: 0,
      action: "revoke",
      hash: hashOf(revision),
      account: account === null ? null : `acct_${account}`,
      token_id: token === null ? null : `tok_${token}`,
      digests: token === null ? [] : [digestOf(token)],
      known_revision: knownRevision,
      known_hash: knownRevision === 0 || knownRevision > state.length ? null : hashOf(knownRevision),
      generation,
    }));
  }

  #put({ rows, safeRows }: State, row: NodeRow): void {
    rows.set(row.id, row);
    safeRows.set(row.id, row);
  }

  #serverWith(timeline: number, state: State): Server {
    const thread = new Thread(this.#world.simulation, { rate: 1, stops: [], freezes: [] });
    return { timeline, thread, isDead: false, state };
  }
}

/** One connection of a node to a server: statements are done, and answered, in the order in which they were sent. */
export class Session {
  readonly server: Server;
  #isLost = false;
  readonly #world: World;
  readonly #database: Database;
  readonly #link: Link;
  readonly #thread: Thread;
  readonly #answersUncommitted: boolean;
  /** When the newest message arrives at each end: they arrive in order. */
  readonly #newestMs = new Map<Thread, number>();
  #freeMs = 0;
  #isStuck = false;

  constructor(
    world: World,
    database: Database,
    { link, thread }: { readonly link: Link; readonly thread: Thread },
    answersUncommitted: boolean,
  ) {
    this.#answersUncommitted = answersUncommitted;
    this.#world = world;
    this.#database = database;
    this.#link = link;
    this.#thread = thread;
    this.server = database.primary;
  }

  get isLost(): boolean {
    return this.#isLost || this.server.isDead;
  }

  /** Nothing is answered once a message was lost, or a commit waits for a standby that is gone. */
  send<Answer>({ writes, run }: Work<Answer>, take: (answer: Answer) => void): void {
    const { simulation } = this.#world;
    this.#carry(simulation.nowMs, this.server.thread, () => {
      const takesMs = simulation.between(0.1, writes ? 5 : 0.5);
      const stallsMs = writes && simulation.random.chance(slowCommits) ? simulation.between(5, 800) : 0;
      const beginsMs = Math.max(simulation.nowMs, this.#freeMs);
      this.#freeMs = beginsMs + takesMs + stallsMs;
      this.server.thread.at(beginsMs, () => {
        const { length } = this.server.state;
        this.server.thread.at(beginsMs + takesMs + stallsMs, () =>
          this.#finish(writes, () => run(this.server, length), take),
        );
      });
    });
  }

  #finish<Answer>(writes: boolean, run: () => Answer, take: (answer: Answer) => void): void {
    const { simulation } = this.#world;
    this.#isStuck ||= writes && !this.#database.isPrimary(this.server) && !this.#answersUncommitted;
    if (this.#isStuck || this.isLost) {
      return;
    }
    const answer = run();
    this.#carry(simulation.nowMs, this.#thread, () => {
      if (!this.isLost) {
        take(answer);
      }
    });
  }

  /** A line to a database is quick, but for a few messages and bad times, and loses what it carries when it is cut. */
  #carry(sentMs: number, to: Thread, action: () => void): void {
    const { simulation } = this.#world;
    const { slow, cuts } = this.#link.faults;
    // Of what the database answers: what it is asked would only come late.
    const bad = slow.find(({ fromMs, toMs }) => fromMs <= sentMs && sentMs < toMs);
    const extraMs = to === this.#thread ? (bad?.extraMs ?? 0) : 0;
    const isSlow = extraMs > 0 && simulation.random.chance(0.05);
    const takesMs = extraMs + (isSlow ? simulation.between(3, 1500) : simulation.between(0.1, 1.5));
    const arrivesMs = Math.max(sentMs + takesMs, (this.#newestMs.get(to) ?? 0) + 1e-6);
    this.#newestMs.set(to, arrivesMs);
    const cut = cuts.find(({ fromMs, toMs }) => fromMs <= arrivesMs && sentMs < toMs);
    if (cut === undefined) {
      to.at(arrivesMs, action);
    } else {
      simulation.at(Math.max(sentMs, cut.fromMs) + noticedAfterMs, () => {
        this.#isLost = true;
      });
    }
  }
}

function digestOf(token: number): Uint8Array {
  const digest = Buffer.alloc(32);
  digest.writeUInt32LE(token);
  return digest;
}

export function tokenOf(digest: Uint8Array): number {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).readUInt32LE();
}

export function hashOf(revision: number): Uint8Array {
  const hash = Buffer.alloc(32);
  hash.writeUInt32LE(revision);
  return hash;
}
