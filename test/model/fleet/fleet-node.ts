import type { Mark, Since } from "../../../src/authority/freshness.ts";
import { leaseMs, settleMs } from "../../../src/authority/lease.ts";
import { createWatchers, type Watcher, type Watchers } from "../../../src/authority/watchers.ts";
import type { NodeRow } from "../../../src/stores/postgres/serving/node-rows.ts";
import { createNodeRules, type NodeRules, type Renewal } from "../../../src/stores/postgres/serving/node-rules.ts";
import type { Wish } from "../authority.ts";
import type { Link } from "../link.ts";
import type { Answer } from "../local-cache.ts";
import type { Moment, Span, Thread } from "../simulation.ts";
import { type Hub, Stream, type Watching } from "../stream.ts";
import { tellStreams } from "../tell-streams.ts";
import type { World } from "../world.ts";
import { type Database, hashOf, Session, tokenOf, type Work } from "./database.ts";
import type { NodeRule } from "./node-rules.ts";

/** What a fleet of nodes shares. */
export type Fleet = {
  readonly world: World;
  readonly database: Database;
  isKept(rule: NodeRule): boolean;
};

const renewEveryMs = 500;
const pollEveryMs = 20;
const lookEveryMs = 5;
/** Of several servers, or of one: for so long it may answer no renewal. */
const silentServerMs = [1500, 5000, 5000];
const reconnectMs = 50;
const maxWaitMs = 1000;
const maxBehind = 8;
/** When a rule is left out that says for how long to wait. */
const tooSoonMs = 300;
const log = { info() {}, warn() {}, error() {} };

type Question = { readonly token: number; readonly beganMs: number; readonly take: (answer: Answer) => void };

/**
 * A node with the project's own rules of leases, acknowledgements and settled changes, and its own watchers. What sends
 * and waits around them is the model's, and can leave a rule out.
 */
export class FleetNode implements Hub {
  readonly thread: Thread;
  readonly name: string;
  readonly settled = Number.POSITIVE_INFINITY;
  isStopping = false;
  readonly #fleet: Fleet;
  readonly #link: Link;
  /** When it hears of no poll. */
  readonly #deaf: readonly Span[];
  readonly #rules: NodeRules;
  readonly #maxSilentMs: number;
  #session: Session | null = null;
  #lookUps: Session | null = null;
  #ids = 0;
  #isPolling = false;
  #isLooking = false;
  #oldestRenewalMs: number | null = null;
  #lastHead = 0;
  #isRowGone = false;
  readonly #seenRows = new Map<string, { readonly renewals: number; readonly sinceMs: number }>();
  readonly #quickWaits = new Set<{ readonly revision: number; readonly answer: () => void }>();

  readonly #memory = new Map<number, number>();
  readonly #underWay = new Set<{ readonly token: number; isOvertaken: boolean }>();
  #mark: Mark;
  #waiting: { readonly endMs: number; readonly goOn: () => void }[] = [];

  readonly #watchers: Watchers;
  readonly #streams = new Map<Stream, Watcher>();
  readonly #asked: Moment[] = [];
  #told = false;
  #watchMark: Mark;

  constructor(
    fleet: Fleet,
    name: string,
    { thread, link, deaf }: { readonly thread: Thread; readonly link: Link; readonly deaf: readonly Span[] },
  ) {
    this.#fleet = fleet;
    this.name = name;
    this.thread = thread;
    this.#link = link;
    this.#deaf = deaf;
    this.#maxSilentMs = fleet.world.simulation.random.pick(silentServerMs);
    const wallMs = fleet.isKept("N1 clocks") ? () => thread.wallMs() : () => thread.clockMs();
    const clocks = { monotonicMs: () => thread.clockMs(), wallMs };
    this.#rules = createNodeRules({ name, schemaVersion: 1, graceMs: 0, log, ...clocks });
    this.#mark = this.#rules.mark();
    this.#watchMark = this.#mark;
    this.#watchers = createWatchers(clocks.monotonicMs, clocks.wallMs);
    this.#connect();
    this.#every(renewEveryMs, () => this.#tick());
    this.#every(pollEveryMs, () => this.#poll());
    this.#every(pollEveryMs, () => this.#report());
  }

  #every(ms: number, action: () => void): void {
    this.thread.after(ms, () => {
      action();
      this.#every(ms, action);
    });
  }

  // What it sends.

  #connect(): void {
    const { world, database } = this.#fleet;
    this.#rules.reconnected();
    const ends = { link: this.#link, thread: this.thread };
    this.#session = new Session(world, database, ends, !this.#fleet.isKept("N2 committed"));
    // Of the two lines of a node one may find the new primary long before the other.
    if (this.#lookUps === null || world.simulation.random.chance(0.5)) {
      this.#lookUps = new Session(world, database, ends, false);
    }
    this.#isPolling = false;
    this.#isLooking = false;
    this.#oldestRenewalMs = null;
    this.#poll();
    this.#register();
    this.#renew();
  }

  #send<Done>(work: Work<Done>, take: (answer: Done) => void): void {
    const session = this.#session;
    session?.send(work, (answer) => {
      if (session === this.#session) {
        take(answer);
      }
    });
  }

  #tick(): void {
    this.#rules.tick();
    const silentMs = this.#oldestRenewalMs === null ? 0 : this.thread.clockMs() - this.#oldestRenewalMs;
    if (silentMs > this.#maxSilentMs) {
      this.#reconnect();
    }
    this.#register();
    this.#renew();
    this.#look();
  }

  #reconnect(): void {
    this.#session = null;
    this.thread.after(reconnectMs, () => this.#connect());
  }

  #register(): void {
    if (!this.#rules.mustRegister()) {
      return;
    }
    const { database } = this.#fleet;
    this.#ids += 1;
    const id = `${this.name}, row ${this.#ids}`;
    const sent = this.thread.moment();
    this.#send({ writes: true, run: (server) => database.insert(server, id, this.name) }, () => {
      if (!this.#rules.mustRegister()) {
        return;
      }
      this.#rules.registered(id);
      const first = this.#rules.renewal();
      if (first !== null && !this.#fleet.isKept("N4 insert")) {
        this.#counted({ ...first, sent }, this.#lastHead, 1);
      }
      this.#renew();
    });
  }

  #renewal(): Renewal | null {
    const { isKept } = this.#fleet;
    const asked = this.#rules.renewal();
    if (asked === null) {
      return null;
    }
    const reported = isKept("N6 watchers") ? asked.acknowledges : this.#rules.head().revision;
    const acknowledges = isKept("N6 applied") ? reported : Math.max(reported, this.#lastHead);
    return { ...asked, acknowledges };
  }

  #acknowledge(): void {
    const { database } = this.#fleet;
    const renewal = this.#renewal();
    if (renewal !== null) {
      this.#send({ writes: false, run: (server) => database.acknowledge(server, renewal) }, () => {});
    }
  }

  #renew(): void {
    const { database, isKept } = this.#fleet;
    const renewal = this.#renewal();
    if (renewal === null) {
      return;
    }
    this.#oldestRenewalMs ??= this.thread.clockMs();
    this.#send({ writes: true, run: (server, length) => database.renew(server, renewal, length) }, (row) => {
      this.#oldestRenewalMs = null;
      this.#lastHead = Math.max(this.#lastHead, row.head);
      const written = isKept("N8 gone") ? row.written : 1;
      this.#isRowGone ||= written === 0;
      const sent = isKept("N1 sent") ? renewal.sent : this.thread.moment();
      this.#counted({ ...renewal, sent }, row.head, written, row.known_hash);
      this.#goOn();
    });
  }

  #counted(renewal: Renewal, head: number, written: number, knownHash: Uint8Array | null = renewal.knownHash): void {
    this.#rules.renewed(renewal, {
      written,
      head: this.#fleet.isKept("N3 applied") ? head : 0,
      known_hash: knownHash,
      ...{ authority_id: "authority", era: 1, oldest_version: 1, is_synchronous: true },
      database_ms: renewal.sent.wallMs,
    });
  }

  #poll(): void {
    const { database, world } = this.#fleet;
    const { nowMs } = world.simulation;
    if (this.#session?.isLost === true) {
      this.#reconnect();
    }
    const isDeaf = this.#deaf.some(({ fromMs, toMs }) => fromMs <= nowMs && nowMs < toMs);
    if (this.#isPolling || isDeaf || this.#session === null) {
      return;
    }
    this.#isPolling = true;
    const poll = this.#rules.poll();
    const isStart = this.#rules.mustStart();
    this.#send({ writes: false, run: (server) => database.poll(server, poll) }, (rows) => {
      this.#isPolling = false;
      if (isStart) {
        this.#rules.start(rows);
      } else {
        this.#rules.take(rows);
      }
      this.#applied();
    });
  }

  #applied(): void {
    this.#catchUpWatchers();
    if (this.#rules.hasNews()) {
      this.#acknowledge();
    }
    this.#goOn();
  }

  #look(): void {
    const { database } = this.#fleet;
    if (this.#isLooking || this.#session === null) {
      return;
    }
    this.#isLooking = true;
    const look = this.#rules.look();
    this.#send({ writes: false, run: ({ state }) => [...state.rows.values()] }, (rows) => {
      this.#isLooking = false;
      this.#answerQuick(rows);
      for (const { id, renewals } of this.#droppable(rows, this.#rules.looked(look, rows))) {
        this.#send({ writes: true, run: (server) => database.drop(server, id, renewals) }, () => {});
      }
      if (this.#rules.isWaitedFor() || this.#quickWaits.size > 0) {
        this.thread.after(lookEveryMs, () => this.#look());
      }
    });
  }

  #droppable(rows: readonly NodeRow[], dead: readonly Pick<NodeRow, "id" | "renewals">[]) {
    if (this.#fleet.isKept("N8 dead")) {
      return dead;
    }
    const nowMs = this.thread.clockMs();
    return rows.filter(({ id, renewals }) => {
      const seen = this.#seenRows.get(id);
      if (seen?.renewals !== renewals) {
        this.#seenRows.set(id, { renewals, sinceMs: nowMs });
      }
      return id !== this.#rules.rowId() && nowMs - (this.#seenRows.get(id)?.sinceMs ?? nowMs) > 2 * tooSoonMs;
    });
  }

  // What is changed.

  /** A caller's Revoke, or another takeaway, has arrived here. */
  change(wish: Wish): void {
    const { world, database, isKept } = this.#fleet;
    if (wish.revision !== null && !isKept("N7 retry")) {
      this.#answer(wish, wish.revision);
      return;
    }
    const session = new Session(world, database, { link: this.#link, thread: this.thread }, false);
    const poll = this.#rules.poll();
    const work: Work<{ readonly revision: number; readonly rows: ReturnType<Database["poll"]> }> = {
      writes: wish.revision === null,
      run: (server) => {
        wish.revision ??= database.commit(server, { token: wish.token, account: wish.account });
        return { revision: wish.revision, rows: database.poll(server, poll) };
      },
    };
    session.send(work, ({ revision, rows }) => {
      if (!this.#rules.mustStart()) {
        this.#rules.take(rows);
        this.#applied();
        this.#settle(wish, revision);
      }
    });
  }

  #settle(wish: Wish, revision: number): void {
    const { isKept } = this.#fleet;
    const answer = () => this.#answer(wish, revision);
    this.#rules.wait(revision, answer);
    this.thread.after(isKept("N7 bound") ? settleMs + 1 : tooSoonMs, () => {
      if (isKept("N7 bound")) {
        this.#rules.answerWaitedOut();
      } else {
        answer();
      }
    });
    if (!isKept("N9 season")) {
      this.#quickWaits.add({ revision, answer });
    }
    this.#look();
  }

  #answerQuick(rows: readonly NodeRow[]): void {
    for (const wait of this.#quickWaits) {
      if (rows.every(({ acked_revision }) => acked_revision >= wait.revision)) {
        this.#quickWaits.delete(wait);
        wait.answer();
      }
    }
  }

  #answer(wish: Wish, revision: number): void {
    wish.isAnswered = true;
    this.#fleet.world.history.answered(revision, wish.askedAtMs);
  }

  // What it decides.

  /** Somebody asks this node whether the key of the token may pass. */
  ask(token: number): void {
    const { history, simulation } = this.#fleet.world;
    const beganMs = simulation.nowMs;
    this.read(token, ({ basis }) => history.decided({ token, holder: this.name, beganMs, basis }));
  }

  read(token: number, take: (answer: Answer) => void): void {
    this.#decide({ token, beganMs: this.#fleet.world.simulation.nowMs, take });
  }

  #decide(question: Question): void {
    const { token, take } = question;
    if (!this.#isFresh()) {
      this.#wait(() => this.#decide(question));
      return;
    }
    const known = this.#memory.get(token);
    if (known !== undefined) {
      take({ basis: known, revision: this.#rules.head().revision });
      return;
    }
    this.#readAgain(question);
  }

  #readAgain(question: Question): void {
    const { world, isKept } = this.#fleet;
    const { token, take } = question;
    const lookUp = { token, isOvertaken: false };
    this.#underWay.add(lookUp);
    const keep = (basis: number) => {
      if (!this.#isFresh()) {
        this.#wait(() => keep(basis));
        return;
      }
      this.#underWay.delete(lookUp);
      if (lookUp.isOvertaken) {
        this.#decide(question);
        return;
      }
      this.#memory.set(token, basis);
      take({ basis, revision: this.#rules.head().revision });
    };
    const work = { writes: false, run: (_: unknown, length: number) => length };
    if (this.#lookUps?.isLost !== false) {
      this.#lookUps = new Session(world, this.#fleet.database, { link: this.#link, thread: this.thread }, false);
    }
    const found = (head: number) => {
      const basis = world.history.basisAt(token, head);
      if (!isKept("N5 read")) {
        this.#underWay.delete(lookUp);
        take({ basis, revision: head });
      } else if (head < this.#rules.head().revision) {
        this.#underWay.delete(lookUp);
        this.#lookUps = null;
      } else {
        keep(basis);
      }
    };
    const { simulation } = world;
    this.#lookUps.send(work, (head) => {
      const lateMs = simulation.random.chance(0.1) ? simulation.between(50, 2500) : 0;
      this.thread.at(simulation.nowMs + lateMs, () => found(head));
    });
  }

  #isFresh(): boolean {
    if (this.#rules.mustStart() || this.#rules.refusal() !== null) {
      return false;
    }
    if (!this.#rules.isFresh(this.#mark)) {
      const since = this.#rules.changesSince(this.#mark, maxBehind);
      this.#forget(since);
      this.#mark = since.mark;
    }
    return this.#rules.isFresh(this.#mark) || !this.#fleet.isKept("N5 memory");
  }

  #forget({ changes }: Since): void {
    for (const change of changes ?? [{ digests: null }]) {
      const tokens = change.digests?.map(tokenOf) ?? null;
      if (tokens === null && !(this.#isRowGone && !this.#fleet.isKept("N4 insert"))) {
        this.#memory.clear();
      }
      for (const token of tokens ?? []) {
        this.#memory.delete(token);
      }
      for (const lookUp of this.#underWay) {
        lookUp.isOvertaken ||= tokens === null || tokens.includes(lookUp.token);
      }
    }
  }

  #wait(goOn: () => void): void {
    this.#waiting.push({ endMs: this.thread.clockMs() + maxWaitMs, goOn });
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      if (this.thread.clockMs() < one.endMs) {
        one.goOn();
      }
    }
  }

  // Who watches.

  wake(): void {}

  open(gateway: Watching, applied: number | null): Stream | null {
    if (this.isStopping || this.#rules.mustStart() || this.#rules.refusal() !== null) {
      return null;
    }
    const { revision } = this.#rules.head();
    if (this.#watchers.size() === 0) {
      this.#watchMark = this.#rules.mark();
      this.#watchers.restart(revision, hashOf(revision));
    }
    this.#catchUpWatchers();
    if (applied !== null && applied > revision) {
      return null;
    }
    const stream = new Stream(this, gateway);
    this.#streams.set(stream, this.#resume(applied ?? this.#watchers.applied()));
    this.#tell();
    return stream;
  }

  #resume(applied: number): Watcher {
    if (applied > this.#watchers.applied()) {
      return this.#watchers.reset("gateway", "HISTORY_DIFFERS");
    }
    if (applied < this.#watchers.floor()) {
      const { changes } = this.#rules.changesSince({ ...this.#watchMark, revision: applied }, maxBehind);
      if (changes === null) {
        return this.#watchers.reset("gateway", "TOO_FAR_BEHIND");
      }
      this.#watchers.remember(changes, applied);
    }
    return this.#watchers.resume("gateway", applied);
  }

  renew(stream: Stream, asked: Moment, applied: number): void {
    const watcher = this.#streams.get(stream);
    if (watcher === undefined || stream.isEnded || stream.isLost) {
      return;
    }
    watcher.acknowledge(Math.min(applied, watcher.told()));
    const leftMs = this.#rules.leftMs();
    if (leftMs > 0) {
      if (!this.#told) {
        this.#told = true;
        this.#rules.report({ settledRevision: this.#watchers.applied(), holders: 0, silent: [] });
      }
      this.#catchUpWatchers();
      watcher.grant(this.#asked.push(asked) - 1, this.#fleet.isKept("W2 left") ? leftMs : leaseMs);
    }
    this.#tell();
    this.#report();
  }

  release(stream: Stream): void {
    this.#streams.get(stream)?.release();
    this.#report();
  }

  lost(stream: Stream): void {
    this.#streams.get(stream)?.leave();
    this.#streams.delete(stream);
    this.#report();
  }

  stop(): void {
    this.isStopping = true;
  }

  hasLeases(): boolean {
    return this.#watchers.report().report !== null;
  }

  #catchUpWatchers(): void {
    const isSame = this.#rules.mark().signal === this.#watchMark.signal;
    if (isSame || this.#rules.mustStart() || this.#rules.refusal() !== null) {
      return;
    }
    const { changes, mark } = this.#rules.changesSince(this.#watchMark, maxBehind);
    this.#watchMark = mark;
    this.#watchers.advance(changes, mark.revision, hashOf(mark.revision));
    this.#tell();
    this.#report();
  }

  #tell(): void {
    tellStreams(this.#streams, this.#asked, this.#fleet.world.disk.journal);
  }

  #report(): void {
    const { report } = this.#watchers.report();
    this.#told = report !== null;
    this.#rules.report(report);
    if (this.#rules.hasNews()) {
      this.#acknowledge();
    }
  }
}
