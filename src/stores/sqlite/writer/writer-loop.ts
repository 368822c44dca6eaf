import type { MessagePort } from "node:worker_threads";
import type Database from "better-sqlite3";
import type { JournalHead, MadeChange } from "../../../authority/journal.ts";
import { fromFailure, toFailure } from "../../../machine/failure.ts";
import type { Log } from "../../../machine/log.ts";
import {
  type BackgroundCall,
  type ChangeCall,
  type IssuingCall,
  isUrgent,
  maxCallsTogether,
  type RevokeMatchingCall,
  type UrgentCall,
} from "../../changes/change-call.ts";
import { isFatal } from "../sqlite-error.ts";
import type { WriterAnswer, WriterCall, WriterMessage, WriterReply, WriterRequest } from "../writer-call.ts";
import { checkpointAll, checkpointWhenLong } from "./checkpoint.ts";
import { commitTogether } from "./group-commit.ts";
import type { RevocationLog } from "./revocation-log.ts";
import type { StorageRoom } from "./storage-room.ts";
import type { Writer } from "./writer.ts";

type Waiting<Call extends WriterCall> = { readonly port: MessagePort; readonly id: number; readonly call: Call };

export type WriterLoopParts = {
  readonly db: Database.Database;
  readonly writer: Writer;
  readonly room: StorageRoom;
  readonly revocations: RevocationLog;
  readonly log: Log;
  /** Tells all threads that something changed. */
  readonly signalChange: () => void;
  /** Tells all threads whether the write-ahead log waits for a moment without readers. */
  readonly markLogLong: (isLong: boolean) => void;
  /** Throws when a file of the store is no longer at its place. */
  readonly requireInPlace: () => void;
  /** Notes the newest change outside the database. */
  readonly noteHead: (head: JournalHead) => void;
  readonly onFatal: (error: unknown) => void;
};

export type WriterLoop = {
  /** Takes the calls of one serving thread. */
  accept(port: MessagePort): void;
  /** Resolves when every call that has arrived is answered, and never when the loop fails. No others may arrive. */
  drain(): Promise<void>;
  /** Takes no more calls. An open port would keep the thread alive, and its other end waiting. */
  closePorts(): void;
  /** Fails when a file of the store is no longer at its place. */
  look(): void;
  /** Answers nothing more, and tells everybody. */
  fail(error: unknown): void;
};

/**
 * Works off the calls of all serving threads: in each turn all calls that wait, together, then one background call,
 * then the upkeep. What arrives in the meantime waits for the next turn.
 */
export function createWriterLoop({
  db,
  writer,
  room,
  revocations,
  log,
  signalChange,
  markLogLong,
  requireInPlace,
  noteHead,
  onFatal,
}: WriterLoopParts): WriterLoop {
  const ports = new Set<MessagePort>();
  /** These go first: while one waits, a key may be in the wrong hands. */
  const waitingUrgent: Waiting<UrgentCall>[] = [];
  /** One a turn, so that other changes have a commit between two of them. */
  const waitingBulk: Waiting<RevokeMatchingCall>[] = [];
  const waitingToIssue: Waiting<IssuingCall>[] = [];
  const waitingBehind: Waiting<BackgroundCall>[] = [];
  let whenDrained = Promise.withResolvers<void>();
  let isTurnComing = false;
  let hasFailed = false;

  function receive(port: MessagePort, { id, call }: WriterRequest): void {
    if (isUrgent(call)) {
      waitingUrgent.push({ port, id, call });
    } else if (call.method === "revokeMatching") {
      waitingBulk.push({ port, id, call });
    } else if (call.method === "create" || call.method === "rotateKey") {
      waitingToIssue.push({ port, id, call });
    } else {
      waitingBehind.push({ port, id, call });
    }
    callTurn();
  }

  function callTurn(): void {
    if (!isTurnComing && !hasFailed) {
      isTurnComing = true;
      // By then, every message that has arrived is in the queue.
      setImmediate(takeTurn);
    }
  }

  function takeTurn(): void {
    isTurnComing = false;
    if (hasFailed) {
      return;
    }
    try {
      commitWaiting();
      runOneBehind();
      checkpointWhenLong(db, room.isTight(), log, markLogLong);
      revocations.followHead(writer.head());
      room.restoreBallast();
    } catch (error) {
      fail(error);
      return;
    }
    if ([waitingUrgent, waitingBulk, waitingToIssue, waitingBehind].some((waiting) => waiting.length > 0)) {
      callTurn();
    } else {
      whenDrained.resolve();
      whenDrained = Promise.withResolvers();
    }
  }

  function commitWaiting(): void {
    const first = waitingUrgent.splice(0, maxCallsTogether);
    const batch: readonly Waiting<ChangeCall>[] = [
      ...first,
      ...waitingBulk.splice(0, 1),
      ...waitingToIssue.splice(0, maxCallsTogether - first.length),
    ];
    if (batch.length > 0) {
      requireInPlace();
      const answers = commitTogether(
        writer,
        room,
        batch.map(({ call }) => call),
      );
      // After the commit and before the answers, so that every decision after an answer sees that something changed.
      signalChange();
      revocations.append(batch.flatMap(({ call }) => takeawaysIn(answers.get(call))));
      noteHead(writer.head());
      // Again: a second server that has begun since then has read the database without these changes.
      requireInPlace();
      answer(batch, (call) => answers.get(call) ?? failed(new Error("the call was not run")));
    }
  }

  function runOneBehind(): void {
    const [first] = waitingBehind;
    if (first === undefined) {
      return;
    }
    const result = runBehind(first.call);
    if (result !== "unfinished") {
      waitingBehind.shift();
      answer([first], () => result);
    }
  }

  function runBehind(call: BackgroundCall): WriterAnswer | "unfinished" {
    try {
      if (call.method === "recordUses") {
        if (!room.hasBallast()) {
          return failed(new Error("the disk is full: uses are not recorded"));
        }
        writer.transact(() => writer.recordUses(call.uses));
        return { method: "done" };
      }
      if (writer.transact(() => writer.forgetSomeRequests(call.nowMs)) > 0) {
        return "unfinished";
      }
      // What was forgotten, or erased by a revocation, may still stand in the WAL. A full disk keeps it: room given
      // back is lost.
      if (room.hasBallast()) {
        checkpointAll(db, log);
      }
      return { method: "done" };
    } catch (error) {
      if (isFatal(error)) {
        throw error;
      }
      return failed(error);
    }
  }

  function look(): void {
    try {
      requireInPlace();
    } catch (error) {
      fail(error);
    }
  }

  function fail(error: unknown): void {
    if (hasFailed) {
      return;
    }
    hasFailed = true;
    // What happened is unknown, so that nothing may be answered from memory any more.
    signalChange();
    for (const port of ports) {
      port.postMessage({ kind: "fatal", failure: toFailure(error) } satisfies WriterReply);
    }
    onFatal(error);
  }

  return {
    accept(port) {
      ports.add(port);
      port.on("message", (message: WriterMessage) => {
        if ("lost" in message) {
          fail(fromFailure(message.lost));
        } else {
          receive(port, message);
        }
      });
      port.on("close", () => ports.delete(port));
    },
    drain() {
      callTurn();
      return whenDrained.promise;
    },
    closePorts() {
      for (const port of ports) {
        port.close();
      }
    },
    look,
    fail,
  };
}

/** What a call has taken away or given back: nothing when it changed nothing. */
function takeawaysIn(answered: WriterAnswer | undefined): readonly MadeChange[] {
  if (answered?.method === "revokeMatching") {
    return answered.changes;
  }
  const outcome = answered !== undefined && "outcome" in answered ? answered.outcome : null;
  const change = outcome !== null && "change" in outcome ? outcome.change : null;
  return change === null || change.action === "create" ? [] : [change];
}

function failed(error: unknown): WriterAnswer {
  return { method: "failed", failure: toFailure(error) };
}

/** One message a port, however many answers: a message costs more than what is in it. */
function answer<Call extends WriterCall>(
  batch: readonly Waiting<Call>[],
  toAnswer: (call: Call) => WriterAnswer,
): void {
  for (const [port, calls] of Map.groupBy(batch, (one) => one.port)) {
    const answers = calls.map(({ id, call }) => ({ id, answer: toAnswer(call) }));
    port.postMessage({ kind: "answers", answers } satisfies WriterReply);
  }
}
