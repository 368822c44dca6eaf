import type { Client } from "pg";
import { StartError } from "../../../machine/start-error.ts";
import { isRetryable, isWarning, sqlStateOf } from "../sql-state.ts";

/** The lock row, so that no node changes anything until the transaction ends. */
export const takeLock = "SELECT FROM token_authority.authority FOR UPDATE";

/**
 * Does the work in one transaction, which leaves nothing where the work throws. Throws a StartError where the server
 * does not vouch for the COMMIT.
 */
export async function inTransaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
  let done: T;
  try {
    done = await work();
  } catch (error) {
    // A connection that is lost has ended the transaction.
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
  await requireCommitted(commit(client));
  return done;
}

async function commit(client: Client): Promise<CommitAnswer> {
  let hasWarning = false;
  const note = (notice: { readonly code?: string | undefined }) => {
    hasWarning ||= isWarning(notice);
  };
  client.on("notice", note);
  try {
    const { command: tag } = await client.query("COMMIT");
    return { tag, hasWarning };
  } finally {
    client.off("notice", note);
  }
}

type CommitAnswer = { readonly tag: string; readonly hasWarning: boolean };

/**
 * Throws a StartError unless COMMIT was answered as done and without a warning: with one it may be on no standby.
 * Rejects as the answer does where it says that the transaction lost to another one, and left nothing.
 */
export async function requireCommitted(answer: Promise<CommitAnswer>): Promise<void> {
  let heard: string;
  try {
    const { tag, hasWarning } = await answer;
    if (tag === "COMMIT" && !hasWarning) {
      return;
    }
    heard = hasWarning ? `the answer ${tag} came with a warning` : `the answer was ${tag}`;
  } catch (error) {
    if (isRetryable(error)) {
      throw error;
    }
    throw notVouchedFor(sqlStateOf(error) ?? "no answer came", error);
  }
  throw notVouchedFor(heard, null);
}

function notVouchedFor(heard: string, cause: unknown): StartError {
  return new StartError(
    `the database does not vouch for the COMMIT (${heard}), and whether all was done is not known: see that its servers are well, and run this again`,
    { cause },
  );
}
