import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  HolderKind,
  HolderSchema,
  type WatchRequest as WatchRequestMessage,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Holder, Unconfirmed } from "../../authority/freshness.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import { abortableIterable } from "./connect/abortable-iterable.ts";
import { toConnectError } from "./connect/connect-error.ts";
import { judgeAgain } from "./connect/gate.ts";
import { passageOf } from "./connect/passage.ts";
import { toTimestamp } from "./timestamp.ts";
import { toWatchMessage, type WatchMessage } from "./watch-messages.ts";
import { createWatchTalks, type WatchTalk } from "./watch-talk.ts";

/** Watch of TokenService, over the authority's, in the general way. `lanes/watch-lane.ts` is the other one. */
export function createWatchMethod(authority: Pick<TokenAuthority, "watch">, shutdownSignal: AbortSignal) {
  const openTalk = createWatchTalks(authority, shutdownSignal);

  return async function* watch(
    requests: AsyncIterable<WatchRequestMessage>,
    { values }: HandlerContext,
  ): AsyncGenerator<WatchMessage> {
    const passage = passageOf(values);
    const bell = createBell();
    const ending = new AbortController();
    let isOver = false;
    const end = (error: unknown) => {
      ending.abort(error);
      bell.ring();
    };
    const talk = openTalk({
      call: passage.call,
      wake: bell.ring,
      end(status) {
        end(toConnectError(status));
        // Where the caller takes nothing, nobody comes back for the rest: its place is free at once.
        leave();
      },
    });
    if ("code" in talk) {
      throw toConnectError(talk);
    }
    const { leave } = talk;
    const { signal: giving } = passage.request.giving;
    const giveUp = () => end(giving.reason);
    giving.addEventListener("abort", giveUp, { once: true });
    hearAll(abortableIterable(requests, ending.signal), talk).then(() => {
      isOver = true;
      bell.ring();
    }, end);
    try {
      while (true) {
        ending.signal.throwIfAborted();
        const event = talk.next();
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
      giving.removeEventListener("abort", giveUp);
      ending.abort();
      leave();
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
async function hearAll(requests: AsyncIterable<WatchRequestMessage>, talk: WatchTalk): Promise<void> {
  for await (const message of requests) {
    if (!talk.hear(message)) {
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
