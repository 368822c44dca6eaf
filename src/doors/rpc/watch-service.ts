import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  HolderKind,
  HolderSchema,
  type WatchRequest as WatchRequestMessage,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Holder, Unconfirmed } from "../../authority/freshness.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import type { Watch } from "../../authority/watching.ts";
import { callerOf } from "../../calls/call.ts";
import { deadlineExceeded } from "../../calls/status.ts";
import { abortableIterable } from "./connect/abortable-iterable.ts";
import { toConnectError } from "./connect/connect-error.ts";
import { judgeAgain } from "./connect/gate.ts";
import { passageOf } from "./connect/passage.ts";
import { toTimestamp } from "./timestamp.ts";
import {
  fromWatchRequest,
  tooManyWatch,
  toWatchMessage,
  type WatchMessage,
  watchIsStopping,
  watchSilenceMs,
} from "./watch-messages.ts";

/** Watch of TokenService, over the authority's, in the general way. `lanes/watch-lane.ts` is the other one. */
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
    const stop = () => end(toConnectError(watchIsStopping));
    const { signal: giving } = passage.request.giving;
    const giveUp = () => end(giving.reason);
    const silence = setTimeout(() => {
      end(toConnectError(deadlineExceeded));
      // Where the caller takes nothing, nobody comes back for the rest: its place is free at once.
      watch.leave();
    }, watchSilenceMs);
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
