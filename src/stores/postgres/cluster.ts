import { setTimeout as wait } from "node:timers/promises";
import { describeError } from "../../machine/describe-error.ts";
import type { Log } from "../../machine/log.ts";
import { StartError } from "../../machine/start-error.ts";
import type { DatabaseHost, DatabaseSettings } from "./database-url.ts";
import { openSession, type Session, type SessionUse } from "./session.ts";
import { sqlStateOf } from "./sql-state.ts";

/** The servers of one database, as the lines of one thread know them together. */
export type Cluster = {
  /**
   * Opens a session to the server that takes writes. All hosts are asked at once: one that stands still must not hide
   * the others. Rejects with the last host's error where there is none.
   */
  connect(use: SessionUse, signal: AbortSignal): Promise<Session>;
  /** Told when a line has no session any more. The first one of all lines is logged. */
  noteLost(error: Error): void;
  /** Told when that line has one again. The last one of all lines is logged. */
  noteBack(host: DatabaseHost): void;
};

/** After the first server that takes writes has answered, this long for others to claim the same. */
const rivalMs = 100;

export function createCluster(settings: DatabaseSettings, log: Log): Cluster {
  // An old primary that was cut off and lives on takes writes too, and is told apart by its timeline: it is the lower.
  let timeline = 0;
  let lost = 0;
  const sessions = new Set<Session>();

  function take(session: Session): Session {
    if (session.timeline < timeline) {
      session.destroy();
      throw new Error("the server was failed over: another one is the primary");
    }
    timeline = session.timeline;
    for (const other of sessions) {
      if (other.timeline < timeline) {
        other.destroy();
      }
    }
    sessions.add(session);
    void session.lost.then(() => sessions.delete(session));
    return session;
  }

  return {
    async connect(use, signal) {
      const open: Session[] = [];
      const asked = settings.hosts.map(async (host) => {
        open.push(await openSession(settings, host, use, signal));
      });
      const all = Promise.allSettled(asked);
      await Promise.any(asked).catch(() => {});
      if (settings.hosts.length > 1) {
        await Promise.race([all, wait(rivalMs)]);
      }
      const [best, ...rivals] = open.sort((one, other) => other.timeline - one.timeline);
      // What answers later than its rivals is of no use either.
      void all.then(() => destroyAll(open.slice(1 + rivals.length)));
      destroyAll(rivals);
      if (best === undefined) {
        const [failed] = (await all).filter((one) => one.status === "rejected");
        throw failed?.reason;
      }
      return take(best);
    },
    noteLost(error) {
      lost += 1;
      if (lost === 1) {
        const { error: name, code } = describeError(error);
        log.warn({ hosts: settings.hosts.map(nameOf), error: name, code }, "the database cannot be reached");
      }
    },
    noteBack(host) {
      lost -= 1;
      if (lost === 0) {
        log.info({ host: nameOf(host) }, "the database is there again");
      }
    },
  };
}

function destroyAll(sessions: readonly Session[]): void {
  for (const session of sessions) {
    session.destroy();
  }
}

/**
 * What a server says that does not let this role in, or has no such database: it will say the same again. Null of any
 * other error. `where` is what the message calls the server.
 */
export function refusalOf({ user, database }: DatabaseSettings, where: string, error: unknown): StartError | null {
  const state = sqlStateOf(error);
  if (state?.startsWith("28") === true) {
    return new StartError(`${where} does not let the role ${user} in (${state})`, { cause: error });
  }
  return state === "3D000" ? new StartError(`${where} has no database ${database}`, { cause: error }) : null;
}

export function nameOf({ host, port }: DatabaseHost): string {
  return `${host}:${port}`;
}
