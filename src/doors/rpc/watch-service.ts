import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  HolderKind,
  HolderSchema,
  ResetReason,
  type WatchRequest as WatchRequestMessage,
  type WatchResponseSchema,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Holder, Unconfirmed } from "../../authority/freshness.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import type { WatchEvent } from "../../authority/watchers.ts";
import type { Watch, WatchRequest } from "../../authority/watching.ts";
import { callerOf } from "../../calls/call.ts";
import { deadlineExceeded, statusOf } from "../../calls/status.ts";
import { abortableIterable } from "./connect/abortable-iterable.ts";
import { toConnectError } from "./connect/connect-error.ts";
import { judgeAgain } from "./connect/gate.ts";
import { passageOf } from "./connect/passage.ts";
import { fromDuration, toDuration } from "./duration.ts";
import { toTimestamp } from "./timestamp.ts";

/** A stream ends when its caller sends nothing, or takes nothing of what there is to tell, for so long. */
const silenceMs = 10_000;

const isStopping = statusOf("UNDECIDED", "this authority is stopping: watch it again, or another one");
const tooManyWatch = statusOf("TOO_MANY_STREAMS", "as many callers watch here as may: ask again later, or elsewhere");

type WatchMessage = MessageInitShape<typeof WatchResponseSchema>;

/** Watch of TokenService, over the authority's. */
export function createWatchMethod(authority: Pick<TokenAuthority, "watch">, shutdownSignal: AbortSignal) {
  return async function* watch(
    requests: AsyncIterable<WatchRequestMessage>,
    { values }: HandlerContext,
  ): AsyncGenerator<WatchMessage> {
    const passage = passageOf(values);
    const bell = createBell();
    const watch = authority.watch(callerOf(passage.call), bell.ring);
    if (watch === null) {
      throw toConnectError(tooManyWatch);
    }
    const ending = new AbortController();
    let isOver = false;
    const end = (error: unknown) => {
      ending.abort(error);
      bell.ring();
    };
    const stop = () => end(toConnectError(isStopping));
    const { signal: giving } = passage.request.giving;
    const giveUp = () => end(giving.reason);
    const silence = setTimeout(() => {
      end(toConnectError(deadlineExceeded));
      // Where the caller takes nothing, nobody comes back for the rest: its place is free at once.
      watch.leave();
    }, silenceMs);
    silence.unref();
    shutdownSignal.addEventListener("abort", stop, { once: true });
    giving.addEventListener("abort", giveUp, { once: true });
    if (shutdownSignal.aborted) {
      stop();
    }
    hearAll(abortableIterable(requests, ending.signal), watch, silence).then(() => {
      isOver = true;
      bell.ring();
    }, end);
    try {
      while (true) {
        ending.signal.throwIfAborted();
        const event = watch.next();
        if (event !== null) {
          judgeAgain(passage);
          yield toWatchMessage(event);
        } else if (isOver) {
          return;
        } else {
          await bell.untilRung();
        }
      }
    } finally {
      clearTimeout(silence);
      shutdownSignal.removeEventListener("abort", stop);
      giving.removeEventListener("abort", giveUp);
      ending.abort();
      watch.leave();
    }
  };
}

/** Wakes the one who waits. Whoever looks at everything before it waits misses nothing. */
function createBell(): { readonly ring: () => void; readonly untilRung: () => Promise<void> } {
  let wake = () => {};
  return {
    ring: () => wake(),
    untilRung: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
}

/** Takes the requests as they come. Resolves when the caller has nothing more to say. */
async function hearAll(
  requests: AsyncIterable<WatchRequestMessage>,
  watch: Watch,
  silence: NodeJS.Timeout,
): Promise<void> {
  for await (const message of requests) {
    silence.refresh();
    const request = fromWatchRequest(message);
    watch.hear(request);
    if (request.release) {
      return;
    }
  }
}

function fromWatchRequest(message: WatchRequestMessage): WatchRequest {
  return {
    sequence: Number(message.sequence),
    appliedRevision: Number(message.appliedRevision),
    appliedHash: message.appliedHash,
    uses: message.uses.map(({ digest, age, acceptedCount }) => ({
      digest,
      ageMs: fromDuration("uses", age),
      acceptedCount: Number(acceptedCount),
    })),
    release: message.release,
  };
}

const numberOfReset = {
  TOO_FAR_BEHIND: ResetReason.TOO_FAR_BEHIND,
  HISTORY_DIFFERS: ResetReason.HISTORY_DIFFERS,
} as const;

function toWatchMessage(event: WatchEvent): WatchMessage {
  const revision = BigInt(event.revision);
  switch (event.kind) {
    case "forget": {
      const { subject, tokenId, hasMore } = event;
      const what =
        "digest" in subject
          ? { case: "digest" as const, value: subject.digest }
          : { case: "account" as const, value: subject.account };
      return { event: { case: "forget", value: { revision, what, tokenId, more: hasMore } } };
    }
    case "reset":
      return {
        event: { case: "reset", value: { revision, reason: numberOfReset[event.reason], hash: event.hash } },
      };
    case "lease": {
      const { sequence, durationMs, hash } = event;
      const duration = toDuration(durationMs);
      return { event: { case: "lease", value: { sequence: BigInt(sequence), duration, revision, hash } } };
    }
  }
}

type HolderOrUnconfirmed = Holder & { readonly untilMs?: Unconfirmed["untilMs"] | null };

/** A holder of a lease as the wire has it. */
export function toHolderMessage({ kind, identity, heardAtMs, untilMs = null }: HolderOrUnconfirmed) {
  return create(HolderSchema, {
    kind: kind === "node" ? HolderKind.NODE : HolderKind.GATEWAY,
    identity,
    sinceTime: toTimestamp(heardAtMs),
    untilTime: toTimestamp(untilMs),
  });
}
