import { create, toBinary } from "@bufbuild/protobuf";
import { TokenService, WatchResponseSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import type { WatchEvent } from "../../../authority/watchers.ts";
import { callerOf, fail } from "../../../calls/call.ts";
import { createStreamLane, type Line, type Talk } from "../../../calls/grpc/stream-lane.ts";
import type { LaneOptions } from "../../../calls/grpc/unary-lane.ts";
import { deadlineExceeded } from "../../../calls/status.ts";
import type { StreamLane } from "../../../wire/http2/stream-lane.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { lengthPrefixed } from "../../../wire/protobuf/length-prefixed.ts";
import { fromWatchRequest, tooManyWatch, toWatchMessage, watchIsStopping, watchSilenceMs } from "../watch-messages.ts";
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
  const lines = new Set<Line>();
  // What is told to many is written once. As long as it is remembered, for those who come back.
  const written = new WeakMap<WatchEvent, Uint8Array>();

  shutdownSignal.addEventListener("abort", () => {
    for (const line of lines) {
      line.end(watchIsStopping);
    }
  });

  function open(line: Line): Talk | null {
    const { call } = line;
    if (shutdownSignal.aborted) {
      return fail(call, watchIsStopping);
    }
    const watch = authority.watch(callerOf(call), () => line.wake());
    if (watch === null) {
      return fail(call, tooManyWatch);
    }
    const silence = setTimeout(() => line.end(deadlineExceeded), watchSilenceMs);
    silence.unref();
    lines.add(line);
    return {
      hear(bytes, start, end) {
        silence.refresh();
        const message = readMessage(bytes, start, end, call);
        if (message === null) {
          return null;
        }
        watch.hear(fromWatchRequest(message));
        return !message.release;
      },
      next() {
        const event = watch.next();
        return event === null ? null : write(event);
      },
      leave() {
        clearTimeout(silence);
        lines.delete(line);
        watch.leave();
      },
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
