import type { MessagePort } from "node:worker_threads";
import { undecided } from "../../../authority/errors.ts";
import type { TokenWrites } from "../../../authority/token-store.ts";
import { fromFailure, toFailure } from "../../../machine/failure.ts";
import { type ChangeAnswer, type Done, isUrgent } from "../../changes/change-call.ts";
import { createTokenWrites } from "../../changes/token-writes.ts";
import type { WriterCall, WriterMessage, WriterReply, WriterResult } from "../writer-call.ts";

const maxWaitingCalls = 10_000;
/**
 * A caller goes on as soon as it is answered, for some tenths of a millisecond. More at a time would keep Authenticate
 * waiting.
 */
const maxSettledPerTurn = 2;

/**
 * The changes of one serving thread, done by the writer thread. Disposed, it waits for the answers to what was asked.
 */
export type WriterClient = TokenWrites &
  AsyncDisposable & {
    /** Whether the writer is there to answer. */
    isServing(): boolean;
    /** Gives up on all that waits, and serves no more. */
    fail(error: Error): void;
    /** The same for all threads: the writer ends the store. */
    giveUp(error: unknown): void;
  };

type Answer = ChangeAnswer | Done;
type Waiting = PromiseWithResolvers<Answer>;

/** `port` leads to the writer thread. */
export function createWriterClient(port: MessagePort): WriterClient {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let failure: Error | null = null;
  let whenIdle: PromiseWithResolvers<void> | null = null;
  const arrived: WriterResult[] = [];

  function ask(call: WriterCall): Promise<Answer> {
    if (failure !== null) {
      return Promise.reject(undecided(failure));
    }
    // A flood of creations leaves room for revocations.
    if (waiting.size >= (isUrgent(call) ? 2 * maxWaitingCalls : maxWaitingCalls)) {
      return Promise.reject(undecided(new Error(`${maxWaitingCalls} changes are waiting already`)));
    }
    lastId += 1;
    const answer = Promise.withResolvers<Answer>();
    waiting.set(lastId, answer);
    port.postMessage({ id: lastId, call } satisfies WriterMessage);
    return answer.promise;
  }

  function settleSome(): void {
    for (const result of arrived.splice(0, maxSettledPerTurn)) {
      settle(result);
    }
    if (arrived.length > 0) {
      setImmediate(settleSome);
    }
  }

  function settle({ id, answer }: WriterResult): void {
    const caller = waiting.get(id);
    waiting.delete(id);
    if (answer.method === "failed") {
      caller?.reject(undecided(fromFailure(answer.failure)));
    } else {
      caller?.resolve(answer);
    }
    if (waiting.size === 0) {
      whenIdle?.resolve();
    }
  }

  function fail(error: Error): void {
    failure ??= error;
    for (const result of arrived.splice(0)) {
      settle(result);
    }
    for (const caller of waiting.values()) {
      caller.reject(undecided(failure));
    }
    waiting.clear();
    whenIdle?.resolve();
  }

  port.on("message", (reply: WriterReply) => {
    switch (reply.kind) {
      case "answers":
        arrived.push(...reply.answers);
        if (arrived.length === reply.answers.length) {
          settleSome();
        }
        return;
      case "fatal":
        fail(fromFailure(reply.failure));
        return;
    }
  });
  port.on("close", () => fail(new Error("the writer thread ended")));

  const writes = createTokenWrites(ask);

  return {
    create: writes.create,
    revoke: writes.revoke,
    revokeMatching: writes.revokeMatching,
    rotateKey: writes.rotateKey,
    endRotation: writes.endRotation,
    setHold: writes.setHold,
    closeAccount: writes.closeAccount,
    recordUses: writes.recordUses,
    forgetRequests: writes.forgetRequests,
    isServing() {
      return failure === null;
    },
    fail,
    giveUp(error) {
      if (failure === null) {
        const why = toFailure(error);
        port.postMessage({ lost: why } satisfies WriterMessage);
        fail(fromFailure(why));
      }
    },
    async [Symbol.asyncDispose]() {
      failure ??= new Error("the store is closed");
      if (waiting.size > 0) {
        whenIdle = Promise.withResolvers();
        await whenIdle.promise;
      }
      port.close();
    },
  };
}
