import { setTimeout as wait } from "node:timers/promises";
import { AuthorityError } from "../../authority/errors.ts";
import type { TokenStore } from "../../authority/token-store.ts";
import { describeError } from "../../machine/describe-error.ts";
import type { Log } from "../../machine/log.ts";
import { StartError } from "../../machine/start-error.ts";
import { type Cluster, createCluster, nameOf, refusalOf } from "./cluster.ts";
import type { DatabaseSettings } from "./database-url.ts";
import { type Line, openLine } from "./line.ts";
import { requireSameSecret, requireServable, schemaVersion } from "./schema.ts";
import { createChanges, type DatabaseClock } from "./serving/changes.ts";
import { type Node, type NodeReadings, openNode } from "./serving/node.ts";
import { createReads } from "./serving/reads.ts";
import { ReadOnlyError, type Session, type SessionUse } from "./session.ts";

/** The store as one serving thread sees it, which is a node of the database. */
export type PostgresTokenStore = TokenStore &
  AsyncDisposable & {
    readings(): NodeReadings;
  };

export type PostgresStoreOptions = {
  /** The one that all nodes seal keys with. */
  readonly sealingSecret: Uint8Array;
  /** For how long memory may be decided from after the lease, when the database cannot be reached. */
  readonly graceMs: number;
  readonly log: Log;
  /** Default: as the database's clock shows it. */
  readonly databaseClock?: DatabaseClock;
};

/** Each statement is soon done: also a list looks at a few hundred rows at a time. */
const statementTimeoutMs = 5000;
/** A database that starts at the same time as the server, or fails over, is waited for. */
const startPatienceMs = 10_000;
const startPauseMs = 200;

/**
 * Opens the store for one serving thread: four connections, and a row among the nodes. Disposed, it waits for the
 * answers to what was asked. Throws a StartError when the database cannot be reached, or must not be served.
 */
export async function openPostgresTokenStore(
  settings: DatabaseSettings,
  { sealingSecret, graceMs, log, databaseClock }: PostgresStoreOptions,
): Promise<PostgresTokenStore> {
  const cluster = createCluster(settings, log);
  await requireReady(cluster, settings, sealingSecret, log);

  await using opened = new AsyncDisposableStack();
  const open = (use: SessionUse) => opened.use(openLine(settings, use, log, cluster));
  const changesLine = open({ name: "changes", statementTimeoutMs });
  const lookUps = open({ name: "look-ups", statementTimeoutMs });
  const lists = open({ name: "lists", statementTimeoutMs });
  const nodeLine = open({ name: "node", statementTimeoutMs });
  await Promise.all([changesLine, lookUps, lists, nodeLine].map((line) => untilOpen(line, settings)));
  const node = opened.use(await becomeNode(nodeLine, settings, graceMs, log));
  await requireStillServable(nodeLine, settings, sealingSecret);
  const changes = opened.use(
    createChanges({ changes: changesLine, behind: lists }, node, sealingSecret, databaseClock),
  );
  const reads = createReads({ lookUps, lists }, node);
  const resources = opened.move();

  return {
    findByDigest: reads.findByDigest,
    get: reads.get,
    list: reads.list,
    listChanges: reads.listChanges,
    listAccounts: reads.listAccounts,
    getAccount: reads.getAccount,
    create: changes.create,
    revoke: changes.revoke,
    revokeMatching: changes.revokeMatching,
    rotateKey: changes.rotateKey,
    endRotation: changes.endRotation,
    setHold: changes.setHold,
    closeAccount: changes.closeAccount,
    recordUses: changes.recordUses,
    forgetRequests: changes.forgetRequests,
    head: node.head,
    isServing: node.isServing,
    freshness: node.freshness,
    readings: node.readings,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Throws a StartError unless this program may serve the database. */
async function requireReady(
  cluster: Cluster,
  settings: DatabaseSettings,
  sealingSecret: Uint8Array,
  log: Log,
): Promise<void> {
  const session = await reach(cluster, settings);
  try {
    await requireServable(session, { sealingSecret, log });
  } catch (error) {
    throw error instanceof StartError ? error : cannotStart(settings, error);
  } finally {
    session.destroy();
  }
}

async function reach(cluster: Cluster, settings: DatabaseSettings): Promise<Session> {
  const deadlineMs = performance.now() + startPatienceMs;
  for (;;) {
    try {
      return await cluster.connect({ name: "start", statementTimeoutMs }, new AbortController().signal);
    } catch (error) {
      const isRefused = error instanceof StartError || refusalOf(settings, whereOf(settings), error) !== null;
      if (isRefused || performance.now() > deadlineMs) {
        throw error instanceof StartError ? error : cannotStart(settings, error);
      }
      await wait(startPauseMs);
    }
  }
}

/** What commands change only while no node lives may have been changed until this one had its row. */
async function requireStillServable(line: Line, settings: DatabaseSettings, sealingSecret: Uint8Array): Promise<void> {
  try {
    await requireSameSecret(await line.session(), sealingSecret);
  } catch (error) {
    throw error instanceof StartError ? error : cannotStart(settings, error);
  }
}

async function becomeNode(line: Line, settings: DatabaseSettings, graceMs: number, log: Log): Promise<Node> {
  try {
    return await openNode(line, { name: settings.nodeName, schemaVersion, graceMs, log });
  } catch (error) {
    throw cannotStart(settings, error instanceof AuthorityError ? error.cause : error);
  }
}

/** So that the first call does not wait for its line. */
async function untilOpen(line: Line, settings: DatabaseSettings): Promise<void> {
  const deadlineMs = performance.now() + startPatienceMs;
  for (;;) {
    try {
      await line.session();
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) {
        throw cannotStart(settings, error instanceof Error ? error.cause : error);
      }
    }
  }
}

function whereOf({ hosts }: DatabaseSettings): string {
  return `the database at ${hosts.map(nameOf).join(", ")}`;
}

function cannotStart(settings: DatabaseSettings, error: unknown): StartError {
  const where = whereOf(settings);
  const refusal = refusalOf(settings, where, error);
  if (refusal !== null) {
    return refusal;
  }
  if (error instanceof ReadOnlyError) {
    return new StartError(`${where} takes no writes: name its primary`, { cause: error });
  }
  const { error: kind, code = kind } = describeError(error);
  return new StartError(`${where} cannot be reached (${code})`, { cause: error });
}
