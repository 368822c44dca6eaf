import type { JournalHead } from "../../../authority/journal.ts";
import type { Log } from "../../../machine/log.ts";
import { StartError } from "../../../machine/start-error.ts";
import type { ChangeCall } from "../../changes/change-call.ts";
import { createChangeMaker } from "../../changes/change-maker.ts";
import { type MissedRevocations, readMissedRevocations, requireComplete } from "../../changes/missed-revocations.ts";
import type { Takeaway } from "../../changes/revocation-line.ts";
import { type TakenAgain, takeAgain } from "../../changes/take-again.ts";
import { createCluster } from "../cluster.ts";
import type { DatabaseSettings } from "../database-url.ts";
import { beginAndRead, inOrder, readHead } from "../serving/batch-reads.ts";
import { commit, sendWrites } from "../serving/batch-writes.ts";
import { createWorkingSet } from "../serving/working-set.ts";
import type { Session, Statement } from "../session.ts";
import { sqlStateOf } from "../sql-state.ts";
import { requireCommitted } from "./transaction.ts";

export type RecoverOrder = {
  /** Revocation logs, and files with log lines of changes among others, of every node of the time. */
  readonly revocations: readonly string[];
  /** Recovers also when it is not known what was revoked. */
  readonly acceptLost: boolean;
};

export type Recovered = Readonly<TakenAgain> &
  Pick<MissedRevocations, "reached" | "gaps" | "unreadable"> & {
    /** The newest change that was found. */
    readonly found: JournalHead;
    /** With what was done again. */
    readonly head: JournalHead;
    /** Nodes that knew an earlier one forget all that they remember, and serve again. */
    readonly era: number;
  };

const statementTimeoutMs = 60_000;

const findHash: Statement = {
  name: "find_hash",
  text: "SELECT hash FROM token_authority.journal WHERE revision = $1",
};
const findToken: Statement = { name: "find_token", text: "SELECT FROM token_authority.token WHERE id = $1" };
/** Reading many files, and many changes, takes its time. */
const takeTime: Statement = { name: "", text: "SET idle_in_transaction_session_timeout = 0" };
const readEra: Statement = { name: "", text: "SELECT era FROM token_authority.authority" };
const raiseEra: Statement = {
  name: "",
  text: "UPDATE token_authority.authority SET era = era + 1 RETURNING era",
};

/**
 * Makes a database that has lost changes, by a failover or by an old copy, fit to be served again: does every
 * revocation again that the files tell of and it does not know, and raises its era, by which nodes that stopped begin
 * anew. In one transaction; run again, it does what is not done yet. Connected as the owner of the schema. Throws a
 * StartError when the files are of another authority, or do not say of every lost change whether it took something
 * away.
 */
export async function recover(settings: DatabaseSettings, order: RecoverOrder, log: Log): Promise<Recovered> {
  if (order.revocations.length === 0 && !order.acceptLost) {
    throw new StartError(
      "the database does not know what was revoked and lost, and those keys would live again: give the logs of all nodes with --revocations FILE, or else say --accept-lost-revocations",
    );
  }
  const session = await createCluster(settings, log).connect(
    { name: "recover", statementTimeoutMs },
    new AbortController().signal,
  );
  try {
    const found = await headOf(session);
    const known = { head: found, name: "the database", mayHaveForked: true, ...lookUpsOf(session) };
    const missed = await readMissedRevocations(order.revocations, known);
    if (!order.acceptLost) {
      await requireCompleteFor(session, () => requireComplete(missed, known));
    }
    const { counts, era } = await takeAwayAgain(session, netOf(missed.takeaways));
    const { reached, gaps, unreadable } = missed;
    return { ...counts, found, head: await headOf(session), era, reached, gaps, unreadable };
  } catch (error) {
    if (sqlStateOf(error) === "42501") {
      throw new StartError("this role may not recover the database: connect as the role that ran npm run migrate", {
        cause: error,
      });
    }
    throw error;
  } finally {
    session.destroy();
  }
}

/** Once recovered, the database has changes that no file tells of: what is missing in the files may be no loss. */
async function requireCompleteFor(session: Session, check: () => void): Promise<void> {
  try {
    check();
  } catch (error) {
    const [row] = (await session.run<{ readonly era: number }>(readEra)).rows;
    if (!(error instanceof StartError) || row === undefined || row.era === 1) {
      throw error;
    }
    throw new StartError(
      `recover has run on this database before (its era is ${row.era}): where nothing was lost since, nothing is to be done; else ${error.message}`,
      { cause: error },
    );
  }
}

async function headOf(session: Session): Promise<JournalHead> {
  const [row] = (await session.run<{ revision: number; at_ms: number; hash: Uint8Array }>(readHead)).rows;
  return { revision: row?.revision ?? 0, atMs: row?.at_ms ?? 0, hash: row?.hash ?? new Uint8Array(32) };
}

function lookUpsOf(session: Session) {
  return {
    async hashOf(revision: number) {
      const [row] = (await session.run<{ readonly hash: Uint8Array }>(findHash, [revision])).rows;
      return row?.hash ?? null;
    },
    hasToken: async (id: string) => (await session.run(findToken, [id])).count > 0,
  };
}

/**
 * What the changes come to: the first revocation of a token, the last hold or release, the last end of each key. So a
 * second run, which finds it done, adds nothing to the journal and begins another era.
 */
function netOf(takeaways: readonly Takeaway[]): readonly Takeaway[] {
  const net = new Map<string, Takeaway>();
  for (const takeaway of takeaways) {
    const { action, subject, ends } = takeaway;
    const of = "tokenId" in subject ? subject.tokenId : ` ${subject.account}`;
    switch (action) {
      case "revoke":
      case "close":
        net.set(`${action} ${of}`, net.get(`${action} ${of}`) ?? takeaway);
        break;
      case "hold":
      case "resume":
        net.set(`hold ${of}`, takeaway);
        break;
      default: {
        const hex = (digest: Uint8Array) => Buffer.from(digest).toString("hex");
        const now = new Set(ends.map(({ digest }) => hex(digest)));
        const before = (net.get(`keys ${of}`)?.ends ?? []).filter(({ digest }) => !now.has(hex(digest)));
        net.set(`keys ${of}`, { ...takeaway, ends: [...before, ...ends] });
      }
    }
  }
  return [...net.values()];
}

async function takeAwayAgain(
  session: Session,
  takeaways: readonly Takeaway[],
): Promise<{ readonly counts: TakenAgain; readonly era: number }> {
  await session.run(takeTime);
  const workingSet = createWorkingSet(await beginAndRead(session, takeaways.map(asCall)));
  const maker = createChangeMaker(workingSet.ledger);
  const counts = { revokedAgain: 0, changedAgain: 0, knownAlready: 0, ofLostTokens: 0 };
  for (const takeaway of takeaways) {
    counts[takeAgain(maker, takeaway, "recover")] += 1;
  }
  const raised = session.run<{ readonly era: number }>(raiseEra);
  await inOrder([...sendWrites(session, workingSet.writes()), raised]);
  await requireCommitted(session.run(commit));
  return { counts, era: (await raised).rows[0]?.era ?? 0 };
}

/** A call that reads what the takeaway needs. */
function asCall({ action, subject, atMs, caller, reason }: Takeaway): ChangeCall {
  const context = { caller, atMs, bearerKey: null };
  if (action === "hold" || action === "resume") {
    return { method: "setHold", subject, held: action === "hold", reason, context };
  }
  return "tokenId" in subject
    ? { method: "revoke", id: subject.tokenId, reason, context }
    : { method: "closeAccount", account: subject.account, reason, context };
}
