import type { ChangeFilter, ChangePage, ChangeQuery, Direction } from "../../../authority/token-store.ts";
import { readFacts } from "../../changes/facts.ts";
import {
  type ChangeRow,
  orderOf,
  pageOfChanges,
  splitWindow,
  type Window,
  windowAfter,
} from "../../reading/change-pages.ts";
import type { Statement } from "../session.ts";
import { collectValues } from "../statement-text.ts";
import type { Ask } from "./ask.ts";

/** How many changes one statement looks at. */
const sliceChanges = 500;

/** Where a query begins: the newest change, how old hashes go, and the token that is asked for. */
export const readBounds: Statement = {
  name: "read_bounds",
  text: `SELECT (SELECT journal.revision FROM token_authority.journal ORDER BY journal.revision DESC LIMIT 1) AS newest,
    authority.last_old_revision, (SELECT token.revision FROM token_authority.token WHERE token.id = $1) AS token
  FROM token_authority.authority`,
};
type BoundsRow = {
  readonly newest: number | null;
  readonly last_old_revision: number;
  readonly token: number | null;
};

/** The revisions in a window of the changes of one token, whatever they did. */
export const findOfToken = {
  older: findOfTokenStatement("older"),
  newer: findOfTokenStatement("newer"),
} satisfies Record<Direction, Statement>;

/** Makes TokenReads.listChanges. */
export function createChangeList(ask: Ask): (query: ChangeQuery) => Promise<ChangePage | null> {
  return async (query) => {
    const { filter, direction } = query;
    const [found] = await ask<BoundsRow>(readBounds, [filter.tokenId]);
    if (found === undefined) {
      throw new Error("the database has no row of its authority");
    }
    const { token } = found;
    if (filter.tokenId !== null && token === null) {
      return null;
    }
    const bounds = { newest: found.newest ?? 0, lastOldRevision: found.last_old_revision };
    const matches = async (where: Window | readonly number[], wanted: number) => {
      const { statement, values } = matchStatement(filter, direction, where, wanted);
      const rows = await ask<FoundRow>(statement, values);
      return rows.map((row) => ({ ...row, reason: reasonOf(row) }));
    };
    return pageOfChanges(query, bounds, sliceChanges, async (window, size, wanted) => {
      if (token === null) {
        const { first, rest } = splitWindow(window, direction, size);
        return { rows: await matches(first, wanted), lookedAt: first.before - first.from, rest };
      }
      const range = [token, window.from, window.before, size];
      const revisions = (await ask<{ revision: number }>(findOfToken[direction], range)).map((row) => row.revision);
      const rest = windowAfter(revisions, window, direction, size);
      return { rows: await matches(revisions, wanted), lookedAt: revisions.length, rest };
    });
  };
}

type FoundRow = Omit<ChangeRow, "reason"> & { readonly revoke_reason: string | null };

function reasonOf({ action, facts, revoke_reason }: FoundRow): string {
  return readFacts(facts).reason ?? (action === "revoke" ? revoke_reason : null) ?? "";
}

/** The changes in a window, or of these revisions, that pass the filter. */
export function matchStatement(
  { caller, action, changedFromMs, changedBeforeMs, account }: ChangeFilter,
  direction: Direction,
  where: Window | readonly number[],
  wanted: number,
): { readonly statement: Statement; readonly values: readonly unknown[] } {
  const { at, values } = collectValues();
  const conditions =
    "from" in where
      ? [`journal.revision >= ${at(where.from)}`, `journal.revision < ${at(where.before)}`]
      : [`journal.revision = ANY (${at(where)}::bigint[])`];
  const add = (value: unknown, condition: string) => {
    if (value !== null) {
      conditions.push(`${condition} ${at(value)}`);
    }
  };
  add(caller, "journal.caller =");
  add(action, "journal.action =");
  add(changedFromMs, "journal.at_ms >=");
  add(changedBeforeMs, "journal.at_ms <");
  add(account, "coalesce(journal.account, token.account) =");
  const text = `SELECT journal.revision, journal.at_ms, journal.caller, journal.action, journal.account AS subject_account,
    journal.facts, journal.hash, token.id AS token_id, coalesce(journal.account, token.account, '') AS account,
    token.name, token.type, token.livemode, token.permissions, token.expires_at_ms, token.revoke_reason,
    token_key.key_hint, token_key.digest
  FROM token_authority.journal
    LEFT JOIN token_authority.token ON token.revision = journal.token_revision
    LEFT JOIN token_authority.token_key
      ON token_key.token_revision = journal.token_revision AND token_key.issue_revision = journal.revision
  WHERE ${conditions.join(" AND ")}
  ORDER BY journal.revision ${orderOf[direction]} LIMIT ${at(wanted)}`;
  return { statement: { name: "", text }, values };
}

function findOfTokenStatement(direction: Direction): Statement {
  const inWindow = (revision: string) => `${revision} >= $2 AND ${revision} < $3`;
  return {
    name: `find_changes_of_token_${direction}`,
    text: `SELECT token.revision FROM token_authority.token WHERE token.revision = $1 AND ${inWindow("token.revision")}
    UNION ALL
    SELECT token.revoke_revision FROM token_authority.token
      WHERE token.revision = $1 AND ${inWindow("token.revoke_revision")}
    UNION ALL
    SELECT journal.revision FROM token_authority.journal
      WHERE journal.token_revision = $1 AND journal.action NOT IN ('create', 'revoke') AND ${inWindow("journal.revision")}
    ORDER BY 1 ${orderOf[direction]} LIMIT $4`,
  };
}
