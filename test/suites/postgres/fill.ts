import type { Postgres } from "../support/postgres.ts";

/**
 * Fills the database with so many tokens in 1000 accounts, one of which owns a tenth of them: every second one expires,
 * every tenth is revoked, every twentieth has two keys. The hashes are none.
 */
export async function fill(server: Postgres, database: string, tokens: number): Promise<void> {
  const account = "CASE WHEN n % 10 = 0 THEN 'acct_big' ELSE 'acct_' || n % 1000 END";
  const hash = (text: string) => `sha256((${text})::bytea)`;
  await server.sql(
    `
    INSERT INTO token_authority.journal (revision, at_ms, caller, action, token_revision, hash)
      SELECT n, 1700000000000 + n, 'caller', 'create', n, ${hash("'c' || n")} FROM generate_series(1, ${tokens}) AS n;
    INSERT INTO token_authority.journal (revision, at_ms, caller, action, token_revision, facts, hash)
      SELECT ${tokens} + n / 10, 1700000000000 + ${tokens} + n, 'caller', 'revoke', n, '{"reason":"leaked"}', ${hash("'r' || n")}
      FROM generate_series(10, ${tokens}, 10) AS n;
    INSERT INTO token_authority.journal (revision, at_ms, caller, action, token_revision, facts, hash)
      SELECT ${tokens} + ${tokens} / 10 + n / 20, 1700000000000 + 3 * ${tokens} + n, 'caller', 'rotate_key', n - 1,
        '{"ends":[]}', ${hash("'k' || n")} FROM generate_series(20, ${tokens}, 20) AS n;
    INSERT INTO token_authority.token (revision, id, account, name, type, livemode, permissions, created_by, created_at_ms,
        expires_at_ms, revoked_at_ms, revoke_reason, revoke_revision)
      SELECT n, 'tok_' || n, ${account}, 'Token ' || n, 'secret', n % 2 = 0, '[]', 'caller', 1700000000000 + n,
        CASE n % 2 WHEN 0 THEN 1700000000000 + 1000 * n END, CASE n % 10 WHEN 0 THEN 1700000000000 + ${tokens} + n END,
        CASE n % 10 WHEN 0 THEN 'leaked' ELSE '' END, CASE n % 10 WHEN 0 THEN ${tokens} + n / 10 END
      FROM generate_series(1, ${tokens}) AS n;
    INSERT INTO token_authority.token_key (digest, token_revision, issue_revision, key_hint)
      SELECT ${hash("'key' || n")}, n, n, 'abcd' FROM generate_series(1, ${tokens}) AS n;
    INSERT INTO token_authority.token_key (digest, token_revision, issue_revision, key_hint)
      SELECT ${hash("'second' || n")}, n - 1, ${tokens} + ${tokens} / 10 + n / 20, 'efgh'
      FROM generate_series(20, ${tokens}, 20) AS n;
    INSERT INTO token_authority.last_use (issue_revision, used_at_ms)
      SELECT n, 1700000000000 + n FROM generate_series(1, ${tokens}, 3) AS n;
    INSERT INTO token_authority.account_state (account, hold_revision) VALUES ('acct_5', 1), ('acct_nobody', 1);
    `,
    database,
  );
}
