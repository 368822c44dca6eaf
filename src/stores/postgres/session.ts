import { Socket } from "node:net";
import pg from "pg";
import { StartError } from "../../machine/start-error.ts";
import { type DatabaseHost, type DatabaseSettings, isSocket } from "./database-url.ts";
import { isLostState, isWarning } from "./sql-state.ts";

/** SQL with its name, by which a session prepares it once. Without a name it is planned each time. */
export type Statement = { readonly name: string; readonly text: string };

export type Answer<Row> = {
  readonly rows: readonly Row[];
  /** The rows that were read or changed. */
  readonly count: number;
  /** What was done: a COMMIT of a transaction that had failed answers ROLLBACK. */
  readonly tag: string;
  /** Whether the server said more than the answer: after COMMIT this is no success. */
  readonly hasWarning: boolean;
};

/** One connection to one server. What it keeps for us is no more than statements and the settings of its opening. */
export type Session = {
  readonly host: DatabaseHost;
  /** How often this cluster was failed over: of two primaries the one with more is right. 0 where nobody asked. */
  readonly timeline: number;
  /**
   * Sends the statement at once: several under way are one pipeline, answered in order, each by itself. Rejects with
   * what the server answered, or with how the session was lost; then its outcome is unknown.
   */
  run<Row>(statement: Statement, values?: readonly unknown[]): Promise<Answer<Row>>;
  isLost(): boolean;
  /** Resolves, never rejects, once the session is of no use any more. Every statement under way then rejects. */
  readonly lost: Promise<Error>;
  destroy(): void;
};

export type SessionUse = {
  /** What the session is for; with the node's name it is what the server calls it. */
  readonly name: string;
  /** After this the server ends a statement, but for a COMMIT that waits for a standby. */
  readonly statementTimeoutMs: number;
};

const connectTimeoutMs = 2000;
/** A statement that is not answered so long after the server should have ended it lost its session. */
const answerPatienceMs = 5000;
const keepAliveMs = 5000;
const lockTimeoutMs = 2000;
/** A node that stops while it holds the journal's lock holds up the others for no longer. */
const idleInTransactionTimeoutMs = 1000;

/** How often the cluster was failed over; 0 of a standby. */
export const timelineSql =
  "CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END";

/**
 * Settings by which each statement goes along an index. What the server knows of a table that grows may be out of date,
 * and a plan that reads all of it must not be taken for that.
 */
export const alongIndexes = {
  enable_seqscan: "'off'",
  enable_hashjoin: "'off'",
  enable_mergejoin: "'off'",
  enable_bitmapscan: "'off'",
};

/** A change that was answered survives: this is only ever raised. */
export const synchronousCommit =
  "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END";

/**
 * A role or a database may say otherwise, and a pooler refuses unknown startup parameters: so the settings are made by
 * the first statement, which also tells whether the server takes writes. `synchronous_commit` is only ever raised: a
 * change that was answered survives.
 */
function opening(statementTimeoutMs: number, asksTimeline: boolean): Statement {
  const settings = {
    client_encoding: "'UTF8'",
    default_transaction_isolation: "'read committed'",
    synchronous_commit: synchronousCommit,
    statement_timeout: `'${statementTimeoutMs}'`,
    lock_timeout: `'${lockTimeoutMs}'`,
    idle_in_transaction_session_timeout: `'${idleInTransactionTimeoutMs}'`,
    idle_session_timeout: "'0'",
    // To compile a statement takes longer than to answer it.
    jit: "'off'",
    plan_cache_mode: "'force_generic_plan'",
    ...alongIndexes,
  };
  const timeline = asksTimeline ? timelineSql : "0";
  return {
    name: "",
    text: `SELECT current_setting('transaction_read_only') = 'on' AS is_read_only, ${timeline} AS timeline, ${makeSettings(settings)}`,
  };
}

/** What makes settings of a session, by their names and SQL values, in a SELECT. */
export function makeSettings(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `set_config('${name}', ${value}, false)`)
    .join(", ");
}

type OpeningRow = { readonly is_read_only: boolean; readonly timeline: number };

/** The server answers, and takes no writes: it is a standby, or an operator has it so. */
export class ReadOnlyError extends Error {
  override readonly name = "ReadOnlyError";
}

/**
 * Connects to one host. Rejects with the error of the system, of TLS or of the server, or with a ReadOnlyError; none
 * tells a password. Where there are several hosts it asks for the timeline.
 */
export async function openSession(
  settings: DatabaseSettings,
  host: DatabaseHost,
  use: SessionUse,
  signal?: AbortSignal,
): Promise<Session> {
  const socket = new Socket();
  const client = createClient(settings, host, use, socket);
  const { promise: lost, resolve: tellLost } = Promise.withResolvers<Error>();
  // What is under way, oldest first: it is what the server speaks of.
  const underWay: { hasWarning: boolean }[] = [];
  let loss: Error | null = null;

  function lose(error: Error): void {
    if (loss === null) {
      loss = error;
      signal?.removeEventListener("abort", giveUp);
      socket.destroy();
      tellLost(error);
    }
  }

  const giveUp = () => lose(destroyed());
  signal?.addEventListener("abort", giveUp);
  client.on("error", lose);
  client.on("end", () => lose(new Error("the database ended the session")));
  client.on("notice", (notice) => {
    const [oldest] = underWay;
    if (oldest !== undefined && isWarning(notice)) {
      oldest.hasWarning = true;
    }
  });

  function run<Row>({ name, text }: Statement, values: readonly unknown[] = []): Promise<Answer<Row>> {
    if (loss !== null) {
      return Promise.reject(loss);
    }
    return new Promise((resolve, reject) => {
      const own = { hasWarning: false };
      underWay.push(own);
      void client.query<Row & pg.QueryResultRow>({ name, text, values: [...values] }, (error: Error | null, result) => {
        underWay.splice(underWay.indexOf(own), 1);
        if (error === null) {
          const { rows, rowCount, command } = result;
          resolve({ rows, count: rowCount ?? 0, tag: command, hasWarning: own.hasWarning });
          return;
        }
        if (isLostState(error)) {
          lose(error);
        }
        reject(withoutRow(error));
      });
    });
  }

  try {
    signal?.throwIfAborted();
    await client.connect();
    const { rows } = await run<OpeningRow>(opening(use.statementTimeoutMs, settings.hosts.length > 1));
    const [found] = rows;
    if (found === undefined || found.is_read_only) {
      throw new ReadOnlyError("the server takes no writes");
    }
    return { host, timeline: found.timeline, run, isLost: () => loss !== null, lost, destroy: giveUp };
  } catch (error) {
    giveUp();
    throw error;
  }
}

function createClient(settings: DatabaseSettings, host: DatabaseHost, use: SessionUse, socket: Socket) {
  return new pg.Client({
    ...clientOptions(settings, host, use.name),
    stream: () => socket,
    query_timeout: use.statementTimeoutMs + answerPatienceMs,
    pipeline: true,
  });
}

/** How a client of one host gets in, and what it is called there. */
export function clientOptions(settings: DatabaseSettings, { host, port }: DatabaseHost, use: string) {
  const { user, database, password, tls, nodeName } = settings;
  return {
    host,
    port,
    user,
    database,
    // A function, so that no variable of the environment stands in for a password that is not given.
    password: () => password ?? Promise.reject(noPassword()),
    ssl: tls === null || isSocket(host) ? false : tlsOptions(tls),
    application_name: `${nodeName}/${use}`,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    connectionTimeoutMillis: connectTimeoutMs,
    types: { getTypeParser },
  };
}

function tlsOptions({ authorities, client }: NonNullable<DatabaseSettings["tls"]>) {
  return {
    rejectUnauthorized: true,
    minVersion: "TLSv1.2" as const,
    ...(authorities === null ? {} : { ca: authorities }),
    ...(client === null ? {} : { cert: client.certificate, key: client.key }),
  };
}

/** A log may hold the error, and must not hold what is in a row. */
function withoutRow(error: Error): Error {
  return Object.assign(error, { detail: undefined, where: undefined });
}

function noPassword(): StartError {
  return new StartError(
    "the database asks for a password: put it into the file of TOKEN_AUTHORITY_DATABASE_PASSWORD, or into .pgpass",
  );
}

function destroyed(): Error {
  return new Error("the session was closed");
}

/** int8 is a number to us; all that we keep in one is exact. */
const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: "text" | "binary") =>
  oid === pg.types.builtins.INT8 && format !== "binary" ? toSafeInteger : pg.types.getTypeParser(oid, format as "text");

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new Error("the database holds a number beyond what is exact here");
  }
  return value;
}
