import { undecided } from "../../../authority/errors.ts";
import type { StoredToken } from "../../../authority/token.ts";
import { type StoredTokenRow, toStoredToken } from "../../reading/token-row.ts";
import type { Line } from "../line.ts";
import type { Statement } from "../session.ts";
import { storedTokenColumns } from "../token-row.ts";
import { type AskingNode, askUntilFresh } from "./ask.ts";

/** How many keys one query looks up. */
const maxDigests = 64;
/**
 * How many queries are under way: what comes meanwhile makes the next ones fuller, and a full one costs for each key a
 * quarter of what one costs for a single key. More are sent only as they are full.
 */
const fewQueries = 2;
const maxQueries = 8;
const maxWaiting = 10_000;

/** One row a digest that was asked for, by its place, in any order; without a token the columns of it are null. */
export const findByDigests: Statement = {
  name: "find_by_digests",
  text: `SELECT asked.place,
    (SELECT journal.revision FROM token_authority.journal ORDER BY journal.revision DESC LIMIT 1) AS head, ${storedTokenColumns}
  FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (digest, place)
    LEFT JOIN token_authority.token_key ON token_key.digest = asked.digest
    LEFT JOIN token_authority.token ON token.revision = token_key.token_revision`,
};

type FoundRow = { readonly place: number; readonly head: number | null } & (
  | StoredTokenRow
  | { readonly revision: null }
);

type Waiting = {
  readonly digest: Uint8Array;
  readonly promise: Promise<StoredToken | null>;
  resolve(token: StoredToken | null): void;
  reject(error: unknown): void;
};

/**
 * Looks keys up for one serving thread: those of a turn of the event loop in one query, equal ones once. A look-up
 * never joins a query that was sent before it was asked for.
 */
export function createLookUp(line: Line, node: AskingNode): (digest: Uint8Array) => Promise<StoredToken | null> {
  const waiting = new Map<string, Waiting>();
  let underWay = 0;
  let isScheduled = false;

  function schedule(): void {
    if (!isScheduled) {
      isScheduled = true;
      setImmediate(send);
    }
  }

  function send(): void {
    isScheduled = false;
    while (waiting.size > 0 && underWay < (waiting.size < maxDigests ? fewQueries : maxQueries)) {
      const batch: Waiting[] = [];
      for (const [text, one] of waiting) {
        batch.push(one);
        waiting.delete(text);
        if (batch.length === maxDigests) {
          break;
        }
      }
      underWay += 1;
      void lookUp(batch).finally(() => {
        underWay -= 1;
        if (waiting.size > 0) {
          schedule();
        }
      });
    }
  }

  async function lookUp(batch: readonly Waiting[]): Promise<void> {
    try {
      const digests = batch.map(({ digest }) => digest);
      const rows = await askUntilFresh(line, node, async (session) => {
        const { rows } = await session.run<FoundRow>(findByDigests, [digests]);
        return { head: rows[0]?.head ?? 0, rows };
      });
      if (rows.length !== batch.length) {
        throw new Error("a key that was asked for is missing in the answer");
      }
      for (const row of rows) {
        batch[row.place - 1]?.resolve(row.revision === null ? null : toStoredToken(row));
      }
    } catch (error) {
      for (const { reject } of batch) {
        reject(error);
      }
    }
  }

  return (digest) => {
    const text = textOf(digest);
    const found = waiting.get(text);
    if (found !== undefined) {
      return found.promise;
    }
    if (waiting.size >= maxWaiting) {
      return Promise.reject(undecided(new Error(`${maxWaiting} keys are waiting already`)));
    }
    const { promise, resolve, reject } = Promise.withResolvers<StoredToken | null>();
    waiting.set(text, { digest, promise, resolve, reject });
    schedule();
    return promise;
  };
}

function textOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("latin1");
}
