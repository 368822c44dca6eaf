import { create, toBinary } from "@bufbuild/protobuf";
import { TokenService, WatchResponseSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import type { WatchEvent } from "../../../authority/watchers.ts";
import { fail } from "../../../calls/call.ts";
import { createStreamLane, type Line, type Talk } from "../../../calls/grpc/stream-lane.ts";
import type { LaneOptions } from "../../../calls/grpc/unary-lane.ts";
import type { StreamLane } from "../../../wire/http2/stream-lane.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { lengthPrefixed } from "../../../wire/protobuf/length-prefixed.ts";
import { toWatchMessage } from "../watch-messages.ts";
import { createWatchTalks } from "../watch-talk.ts";
import { createMessageReader } from "./read-message.ts";

/**
 * The lane of Watch. A thousand gateways that renew their leases twice a second are 2000 messages a second each way,
 * and what one change makes them forget is told to all of them in one turn.
 */
export function createWatchLane(
  authority: Pick<TokenAuthority, "watch">,
  shutdownSignal: AbortSignal,
  options: LaneOptions,
): StreamLane<Peer> {
  const method = TokenService.method.watch;
  const readMessage = createMessageReader(method.input);
  const openTalk = createWatchTalks(authority, shutdownSignal);
  // What is told to many is written once. As long as it is remembered, for those who come back.
  const written = new WeakMap<WatchEvent, Uint8Array>();

  function open(line: Line): Talk | null {
    const { call } = line;
    const talk = openTalk(line);
    if ("code" in talk) {
      return fail(call, talk);
    }
    return {
      hear(bytes, start, end) {
        const message = readMessage(bytes, start, end, call);
        return message === null ? null : talk.hear(message);
      },
      next() {
        const event = talk.next();
        return event === null ? null : write(event);
      },
      leave: () => talk.leave(),
    };
  }

  function write(event: WatchEvent): Uint8Array {
    if (event.kind === "lease") {
      return encode(event);
    }
    // A copy of its own: else it would keep what was written beside it.
    const bytes = written.get(event) ?? new Uint8Array(encode(event));
    written.set(event, bytes);
    return bytes;
  }

  return createStreamLane(method, open, options);
}

function encode(event: WatchEvent): Uint8Array {
  return lengthPrefixed(toBinary(WatchResponseSchema, create(WatchResponseSchema, toWatchMessage(event))));
}
