import { undecided } from "../../authority/errors.ts";
import type { Log } from "../../machine/log.ts";
import { createCluster } from "./cluster.ts";
import type { DatabaseSettings } from "./database-url.ts";
import type { Session, SessionUse } from "./session.ts";

/** Keeps one session open to the server that takes writes, and opens another one when it is lost. */
export type Line = AsyncDisposable & {
  /** Waits for a session for a second. Rejects with UNDECIDED when there is none then. */
  session(): Promise<Session>;
  /** Null while there is none. */
  current(): Session | null;
};

const patienceMs = 1000;
const firstPauseMs = 50;
/** After an outage the database is found again this soon. */
const longestPauseMs = 500;

/** Opens a line. Lines of one thread share a cluster: they follow one another to another primary, and log once. */
export function openLine(
  settings: DatabaseSettings,
  use: SessionUse,
  log: Log,
  cluster = createCluster(settings, log),
): Line {
  const closing = new AbortController();
  let current: Session | null = null;
  let isMissed = false;
  let why = new Error("the line to the database is not open yet");
  // A promise that all of them race against would keep what each of them left behind, all through an outage.
  const waiting = new Set<{ take(session: Session): void; giveUp(): void }>();

  async function keepOpen(): Promise<void> {
    let pauseMs = 0;
    while (!closing.signal.aborted) {
      const startedMs = performance.now();
      try {
        const session = await cluster.connect(use, closing.signal);
        current = session;
        if (isMissed) {
          isMissed = false;
          cluster.noteBack(session.host);
        }
        for (const { take } of waiting) {
          take(session);
        }
        miss(await session.lost);
      } catch (error) {
        miss(error instanceof Error ? error : new Error(String(error)));
      }
      // What is lost as soon as it is open is not asked for at once again.
      pauseMs = performance.now() - startedMs > longestPauseMs * 4 ? 0 : nextPause(pauseMs);
      await pause(pauseMs, closing.signal);
    }
  }

  function miss(error: Error): void {
    current = null;
    if (closing.signal.aborted) {
      return;
    }
    why = error;
    if (!isMissed) {
      isMissed = true;
      cluster.noteLost(error);
    }
  }

  const ended = keepOpen();

  return {
    current: () => (current?.isLost() === false ? current : null),
    session() {
      if (current?.isLost() === false) {
        return Promise.resolve(current);
      }
      if (closing.signal.aborted) {
        return Promise.reject(undecided(why));
      }
      return new Promise((resolve, reject) => {
        const timer = setTimeout(giveUp, patienceMs);
        const one = { take, giveUp };
        waiting.add(one);
        function end(): void {
          clearTimeout(timer);
          waiting.delete(one);
        }
        function take(session: Session): void {
          end();
          resolve(session);
        }
        function giveUp(): void {
          end();
          reject(undecided(why));
        }
      });
    },
    async [Symbol.asyncDispose]() {
      why = new Error("the line to the database is closed");
      closing.abort();
      current?.destroy();
      for (const { giveUp } of waiting) {
        giveUp();
      }
      await ended;
    },
  };
}

function nextPause(pauseMs: number): number {
  return Math.min(longestPauseMs, Math.max(firstPauseMs, pauseMs * 2));
}

/** Ends early when the signal says so. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
    signal.addEventListener("abort", end);
    if (signal.aborted) {
      end();
    }
  });
}
