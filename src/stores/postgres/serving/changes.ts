import { asUndecided, undecided } from "../../../authority/errors.ts";
import {
  lastUsePrecisionMs,
  requestMemoryMs,
  type TokenUse,
  type TokenWrites,
} from "../../../authority/token-store.ts";
import { createTurns } from "../../../machine/turns.ts";
import {
  type BackgroundCall,
  type ChangeAnswer,
  type ChangeCall,
  type Done,
  type IssuingCall,
  isUrgent,
  maxCallsTogether,
  type RevokeMatchingCall,
  type UrgentCall,
  urgentFirst,
} from "../../changes/change-call.ts";
import { type ChangeMaker, createChangeMaker, makeChange } from "../../changes/change-maker.ts";
import { createTokenWrites } from "../../changes/token-writes.ts";
import type { Line } from "../line.ts";
import { isSameSecret, sealingFingerprint } from "../schema.ts";
import type { Session, Statement } from "../session.ts";
import { isFull, isRetryable, sqlStateOf } from "../sql-state.ts";
import { begin, beginAndRead, inOrder } from "./batch-reads.ts";
import { commit, sendWrites } from "./batch-writes.ts";
import type { Node } from "./node.ts";
import { refuseApartMs } from "./node-rules.ts";
import { createWorkingSet, type ReadRows } from "./working-set.ts";

/** The changes of one serving thread. Disposed, they wait for the answers to what was asked. */
export type Changes = TokenWrites & AsyncDisposable;

const maxWaitingCalls = 10_000;
/**
 * A caller goes on as soon as it is answered, for some tenths of a millisecond. More at a time would keep Authenticate
 * waiting.
 */
const maxAnsweredPerTurn = 2;
/** A batch that lost to another one is made again so often. */
const maxAttempts = 5;
const maxUses = 1000;
const maxForgottenAtOnce = 500;

const rollback: Statement = { name: "", text: "ROLLBACK" };
/** A last use that is lost in a power cut was not promised to anybody. */
const dontWait: Statement = { name: "", text: "SET LOCAL synchronous_commit = off" };

/** In one order, whoever writes: else two nodes could wait for each other. */
const recordUses: Statement = {
  name: "record_uses",
  text: `INSERT INTO token_authority.last_use (issue_revision, used_at_ms)
    SELECT issue_revision, max(used_at_ms) FROM unnest($1::bigint[], $2::bigint[]) AS used (issue_revision, used_at_ms)
      GROUP BY issue_revision ORDER BY issue_revision
    ON CONFLICT (issue_revision) DO UPDATE SET used_at_ms = excluded.used_at_ms
      WHERE excluded.used_at_ms >= last_use.used_at_ms + ${lastUsePrecisionMs}`,
};

/** Passes over what another node forgets, or a change replaces, at this moment: nobody waits for each other. */
export const forgetRequests: Statement = {
  name: "forget_requests",
  text: `WITH due AS MATERIALIZED (
      SELECT caller, account, request_id FROM token_authority.create_request WHERE at_ms <= $1
      ORDER BY at_ms LIMIT ${maxForgottenAtOnce} FOR UPDATE SKIP LOCKED)
    DELETE FROM token_authority.create_request USING due
    WHERE create_request.caller = due.caller AND create_request.account = due.account
      AND create_request.request_id = due.request_id AND create_request.at_ms <= $1`,
};

/** COMMIT was sent, and whether it was done is not known. */
class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
}

/** The rules could not be applied to one of the calls: a bug, or bad data. */
class CallBroken extends Error {
  override readonly name = "CallBroken";
}

type Answer = ChangeAnswer | Done;

/** What time it is where the database's clock shows this. Tests whose times are made up have one of their own. */
export type DatabaseClock = (shownMs: number) => number;
type Waiting<Call> = { readonly call: Call } & Pick<PromiseWithResolvers<Answer>, "resolve" | "reject">;

/**
 * One transaction is under way at a time, with its lock; what is asked meanwhile is the next one's, so that callers who
 * wait together share a flush. What nobody waits for is written on the line `behind`: a row that another node has
 * locked holds up no change.
 */
export function createChanges(
  { changes: line, behind }: { readonly changes: Pick<Line, "session">; readonly behind: Pick<Line, "session"> },
  node: Pick<Node, "poll" | "take" | "requireServing">,
  sealingSecret: Uint8Array,
  databaseClock: DatabaseClock = (shownMs) => shownMs,
): Changes {
  const waitingUrgent: Waiting<UrgentCall>[] = [];
  const waitingToIssue: Waiting<IssuingCall>[] = [];
  const waitingBulk: Waiting<RevokeMatchingCall>[] = [];
  const waitingBehind: Waiting<BackgroundCall>[] = [];
  const turns = createTurns(maxAnsweredPerTurn);
  const fingerprint = sealingFingerprint(sealingSecret);
  /** When a call was asked, by the monotonic clock. */
  const askedMs = new WeakMap<ChangeCall | BackgroundCall, number>();
  let unanswered = 0;
  let isWorking = false;
  let isWorkingBehind = false;
  let wasBulk = false;
  let isClosed = false;
  let whenIdle: PromiseWithResolvers<void> | null = null;

  function ask(call: ChangeCall | BackgroundCall): Promise<Answer> {
    if (isClosed) {
      return Promise.reject(undecided(new Error("the store is closed")));
    }
    // A flood of creations leaves room for revocations.
    if (unanswered >= (isUrgent(call) ? 2 * maxWaitingCalls : maxWaitingCalls)) {
      return Promise.reject(undecided(new Error(`${maxWaitingCalls} changes are waiting already`)));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    askedMs.set(call, performance.now());
    enqueue(call, { resolve, reject });
    unanswered += 1;
    if (!isWorkingBehind && waitingBehind.length > 0) {
      isWorkingBehind = true;
      void workBehind();
    }
    if (!isWorking) {
      isWorking = true;
      // By then, all that is asked in this turn is in the queue.
      setImmediate(() => void work());
    }
    return promise;
  }

  function enqueue(call: ChangeCall | BackgroundCall, answer: Omit<Waiting<never>, "call">): void {
    if (isUrgent(call)) {
      waitingUrgent.push({ call, ...answer });
    } else if (call.method === "revokeMatching") {
      waitingBulk.push({ call, ...answer });
    } else if (call.method === "create" || call.method === "rotateKey") {
      waitingToIssue.push({ call, ...answer });
    } else {
      waitingBehind.push({ call, ...answer });
    }
  }

  async function work(): Promise<void> {
    while ([waitingUrgent, waitingToIssue, waitingBulk].some((waiting) => waiting.length > 0)) {
      const batch = nextBatch();
      const answers = await commitTogether(batch.map(({ call }) => call));
      for (const waiting of batch) {
        void settle(waiting, answers.get(waiting.call) ?? new Error("the call was not run"));
      }
    }
    isWorking = false;
  }

  /** The urgent ones first. A filter is asked within the transaction, so a bulk revocation is one by itself. */
  function nextBatch(): readonly Waiting<ChangeCall>[] {
    const isBulk = waitingBulk.length > 0 && (!wasBulk || waitingUrgent.length + waitingToIssue.length === 0);
    wasBulk = isBulk;
    if (isBulk) {
      return waitingBulk.splice(0, 1);
    }
    const first = waitingUrgent.splice(0, maxCallsTogether);
    return [...first, ...waitingToIssue.splice(0, maxCallsTogether - first.length)];
  }

  async function settle(waiting: Omit<Waiting<never>, "call">, answer: Answer | Error): Promise<void> {
    await turns.begin();
    if (answer instanceof Error) {
      waiting.reject(asUndecided(answer));
    } else {
      waiting.resolve(answer);
    }
    unanswered -= 1;
    if (unanswered === 0) {
      whenIdle?.resolve();
    }
  }

  /** What became of each call. */
  async function commitTogether(calls: readonly ChangeCall[]): Promise<ReadonlyMap<ChangeCall, Answer | Error>> {
    try {
      return await commitWithRetries(calls);
    } catch (error) {
      if (calls.length === 1 || !mayBeOfOneCall(error)) {
        return new Map(calls.map((call) => [call, failureOf(call, error)]));
      }
    }
    // Nothing has happened. Each is run once more alone, so that it gets its own outcome.
    const answers = new Map<ChangeCall, Answer | Error>();
    for (const call of calls.toSorted(urgentFirst)) {
      const [answer] = (await commitTogether([call])).values();
      answers.set(call, answer ?? new Error("the call was not run"));
    }
    return answers;
  }

  async function commitWithRetries(calls: readonly ChangeCall[]): Promise<ReadonlyMap<ChangeCall, Answer | Error>> {
    for (let attempt = 1; ; attempt += 1) {
      node.requireServing();
      try {
        return await commitOnce(await line.session(), calls);
      } catch (error) {
        if (attempt === maxAttempts || !isRetryable(error)) {
          throw error;
        }
      }
    }
  }

  /**
   * Two round trips: one that reads under the lock, one that writes and commits. Nothing has happened when it throws
   * anything but OutcomeUnknown.
   */
  async function commitOnce(
    session: Session,
    calls: readonly ChangeCall[],
  ): Promise<ReadonlyMap<ChangeCall, ChangeAnswer | Error>> {
    let answers: ReadonlyMap<ChangeCall, ChangeAnswer | Error>;
    let sent: readonly Promise<unknown>[];
    try {
      const sentMs = performance.now();
      const read = await beginAndRead(session, calls);
      const workingSet = createWorkingSet(read);
      const maker = createChangeMaker(workingSet.ledger);
      const faultOf = (call: ChangeCall) => faultOfTime(call, read, sentMs) ?? faultOfSecret(call, read);
      answers = new Map(calls.map((call) => [call, faultOf(call) ?? makeOrBreak(maker, call)]));
      sent = sendWrites(session, workingSet.writes());
    } catch (error) {
      await rollBack(session, error);
      throw error;
    }
    // What was refused is committed too: a server that cannot commit any more may not know why it should not refuse.
    const committed = session.run(commit);
    const { statement, values } = node.poll();
    const applied = session.run<Parameters<Node["take"]>[0][number]>(statement, values);
    const all = Promise.allSettled([...sent, committed, applied]);
    await requireCommitted(session, sent, committed);
    await all;
    // The thread knows its own changes before it answers them.
    node.take((await applied.catch((error) => outcomeUnknown(session, error))).rows);
    return answers;
  }

  /**
   * Whether the time of a change is not the database's: a node whose clock is wrong for a moment, between two renewals,
   * would write it for good. The database has read its clock after it was asked and before it has answered. A time that
   * the journal has reached already brings none that is new: the change has that of the newest one.
   */
  function faultOfTime(call: ChangeCall, { databaseMs, head }: ReadRows, sentMs: number): Error | null {
    const { atMs } = call.context;
    const beganMs = atMs - (askedMs.get(call) ?? sentMs);
    const shownMs = databaseClock(databaseMs);
    const aheadMs = atMs > head.atMs ? beganMs + sentMs - shownMs : 0;
    const apartMs = Math.max(aheadMs, shownMs - beganMs - performance.now());
    return apartMs > refuseApartMs
      ? undecided(new Error(`the time of the change and the database's are ${Math.round(apartMs)} ms apart`))
      : null;
  }

  /**
   * Whether a key was sealed with another secret than that of all nodes: a node that was paused while they got a new
   * one goes on with the old one. It issues no key that no other node could show again.
   */
  function faultOfSecret(call: ChangeCall, { sealingFingerprint: present }: ReadRows): Error | null {
    const isSealed = "request" in call && call.request !== null;
    return isSealed && !isSameSecret(present, fingerprint)
      ? undecided(new Error("all nodes have another sealing secret by now: start this one with it again"))
      : null;
  }

  async function requireCommitted(
    session: Session,
    sent: readonly Promise<unknown>[],
    committed: ReturnType<Session["run"]>,
  ): Promise<void> {
    const written = inOrder(sent);
    // It rejects before the COMMIT behind it is answered.
    written.catch(() => {});
    const { tag, hasWarning } = await committed.catch((error) => {
      if (isRetryable(error)) {
        throw error;
      }
      return outcomeUnknown(session, error);
    });
    if (tag === "ROLLBACK") {
      await written;
    }
    // With a warning it may be on no standby, though the server says COMMIT.
    if (tag !== "COMMIT" || hasWarning) {
      outcomeUnknown(session, new Error(`COMMIT was answered with ${tag}${hasWarning ? " and a warning" : ""}`));
    }
  }

  async function workBehind(): Promise<void> {
    for (let [first] = waitingBehind; first !== undefined; [first] = waitingBehind) {
      try {
        if (await runBehind(await behind.session(), first.call)) {
          waitingBehind.shift();
          void settle(first, { method: "done" });
        }
      } catch (error) {
        waitingBehind.shift();
        void settle(first, error instanceof Error ? error : new Error(String(error)));
      }
    }
    isWorkingBehind = false;
  }

  return {
    ...createTokenWrites(ask),
    async [Symbol.asyncDispose]() {
      isClosed = true;
      if (unanswered > 0) {
        whenIdle = Promise.withResolvers();
        await whenIdle.promise;
      }
    },
  };
}

/** Whether it is done: of what is forgotten, each call is a piece. */
async function runBehind(session: Session, call: BackgroundCall): Promise<boolean> {
  if (call.method === "recordUses") {
    await writeUses(session, call.uses);
    return true;
  }
  const { count } = await session.run(forgetRequests, [call.nowMs - requestMemoryMs]);
  return count < maxForgottenAtOnce;
}

async function writeUses(session: Session, uses: readonly TokenUse[]): Promise<void> {
  if (uses.length > maxUses) {
    throw new RangeError(`${uses.length} uses at once are more than ${maxUses}`);
  }
  if (uses.length === 0) {
    return;
  }
  // As the text of arrays: pg looks at each element for what must be quoted.
  const columns = [uses.map((use) => use.issueRevision), uses.map((use) => use.usedAtMs)].map(
    (all) => `{${all.join()}}`,
  );
  await inOrder([session.run(begin), session.run(dontWait), session.run(recordUses, columns), session.run(commit)]);
}

function makeOrBreak(maker: ChangeMaker, call: ChangeCall): ChangeAnswer {
  try {
    return makeChange(maker, call, () => false);
  } catch (error) {
    throw new CallBroken(`${call.method} could not be applied`, { cause: error });
  }
}

/** A server that did not answer is not asked again. */
async function rollBack(session: Session, error: unknown): Promise<void> {
  if (sqlStateOf(error) === null && !(error instanceof CallBroken)) {
    session.destroy();
    return;
  }
  await session.run(rollback).catch(() => session.destroy());
}

/** What is not known is never answered, and the session that does not say it is of no use. */
function outcomeUnknown(session: Session, cause: unknown): never {
  session.destroy();
  throw new OutcomeUnknown("whether the change was made is not known", { cause });
}

/** Whether one of the calls may have broken the transaction of all: a full disk, bad data, or a bug. */
function mayBeOfOneCall(error: unknown): boolean {
  const state = sqlStateOf(error) ?? "";
  return error instanceof CallBroken || isFull(error) || state.startsWith("22") || state.startsWith("23");
}

function failureOf(call: ChangeCall, error: unknown): Answer | Error {
  if (isFull(error) && (call.method === "create" || call.method === "rotateKey")) {
    return { method: call.method, outcome: { kind: "storage_low" } };
  }
  return error instanceof Error ? error : new Error(String(error));
}
