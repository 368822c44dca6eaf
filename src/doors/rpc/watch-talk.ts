import type { WatchRequest as WatchRequestMessage } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import type { Watch } from "../../authority/watching.ts";
import { callerOf } from "../../calls/call.ts";
import type { Line } from "../../calls/grpc/stream-lane.ts";
import { deadlineExceeded, type Status, statusOf } from "../../calls/status.ts";
import { fromWatchRequest } from "./watch-messages.ts";

/** A stream ends when its caller sends nothing, or takes nothing of what there is to tell, for so long. */
const silenceMs = 10_000;

/** Whoever watches here must watch another one, or come back. */
const isStopping = statusOf("UNDECIDED", "this authority is stopping: watch it again, or another one");
/** A thread bounds how many watch it. */
const tooManyWatch = statusOf("TOO_MANY_STREAMS", "as many callers watch here as may: ask again later, or elsewhere");

/** What is said on one stream of Watch, in either way. */
export type WatchTalk = Pick<Watch, "next" | "leave"> & {
  /** Hears a request. False once the caller wants nothing more. Throws what the authority does. */
  hear(message: WatchRequestMessage): boolean;
};

/** Begins talks, or says why there is none. Ends one whose caller falls silent, and all when the signal aborts. */
export function createWatchTalks(
  authority: Pick<TokenAuthority, "watch">,
  shutdownSignal: AbortSignal,
): (line: Line) => WatchTalk | Status {
  const lines = new Set<Line>();
  shutdownSignal.addEventListener("abort", () => {
    for (const line of lines) {
      line.end(isStopping);
    }
  });

  return (line) => {
    if (shutdownSignal.aborted) {
      return isStopping;
    }
    const watch = authority.watch(callerOf(line.call), () => line.wake());
    if (watch === null) {
      return tooManyWatch;
    }
    const silence = setTimeout(() => line.end(deadlineExceeded), silenceMs);
    silence.unref();
    lines.add(line);
    return {
      hear(message) {
        silence.refresh();
        watch.hear(fromWatchRequest(message));
        return !message.release;
      },
      next: () => watch.next(),
      leave() {
        clearTimeout(silence);
        lines.delete(line);
        watch.leave();
      },
    };
  };
}
