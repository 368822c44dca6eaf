import type { WatchEvent, Watcher } from "../../src/authority/watchers.ts";
import type { Moment } from "./simulation.ts";
import type { Stream } from "./stream.ts";
import type { Change } from "./world.ts";

/** Sends to each stream what the authority's own watchers have for it. A lease's sequence is its place in `asked`. */
export function tellStreams(
  streams: ReadonlyMap<Stream, Watcher>,
  asked: readonly Moment[],
  journal: readonly Change[],
): void {
  for (const [stream, watcher] of streams) {
    for (let event = watcher.next(); event !== null; event = watcher.next()) {
      tell(stream, event, asked, journal);
    }
  }
}

function tell(stream: Stream, event: WatchEvent, asked: readonly Moment[], journal: readonly Change[]): void {
  const { revision } = event;
  if (event.kind === "reset") {
    stream.reset(revision);
  } else if (event.kind === "forget") {
    stream.forget(journal[revision - 1] ?? { revision, token: null, account: null });
  } else {
    const moment = asked[event.sequence];
    if (moment !== undefined) {
      stream.lease({ asked: moment, durationMs: event.durationMs, revision });
    }
  }
}
