import { randomBytes } from "node:crypto";
import Database from "better-sqlite3";
import { expect, it } from "vitest";
import type { NewToken, TokenFilter } from "../../src/authority/token-store.ts";
import { migrate } from "../../src/stores/sqlite/schema.ts";
import { createReader } from "../../src/stores/sqlite/serving/reader.ts";
import { createWriter } from "../../src/stores/sqlite/writer/writer.ts";
import { aNewToken, anyLimit, aQuery, at, createdIn, everything, nowMs } from "../support/token-store/builders.ts";

/** Tokens whose holds and second keys are written by hand: what is listed depends on the tables alone. */
function openTokens() {
  const db = new Database(":memory:");
  migrate(db);
  const writer = createWriter(db);
  const reader = createReader(db);
  return {
    create(facts: Partial<NewToken> = {}) {
      const call = { method: "create", token: aNewToken(facts), request: null, maxLiveTokens: anyLimit } as const;
      return writer.transact(
        () => createdIn(writer.create({ ...call, context: at(nowMs) }, () => false)).token.createRevision,
      );
    },
    revoke(revision: number) {
      const id = db.prepare<[number], string>("SELECT id FROM token WHERE revision = ?").pluck().get(revision) ?? "";
      writer.transact(() => writer.revoke({ method: "revoke", id, reason: "", context: at(nowMs) }));
    },
    hold(revision: number) {
      db.prepare("UPDATE token SET hold_revision = 1 WHERE revision = ?").run(revision);
    },
    holdAccount(account: string) {
      db.prepare("INSERT INTO account_state (account, hold_revision) VALUES (?, 1)").run(account);
    },
    closeAccount(account: string) {
      db.prepare("INSERT INTO account_state (account, close_revision) VALUES (?, 1)").run(account);
    },
    addKey(revision: number, oldEndsAtMs: number) {
      db.prepare("UPDATE token_key SET ends_at_ms = ?, end_revision = 1 WHERE token_revision = ?").run(
        oldEndsAtMs,
        revision,
      );
      db.prepare(
        "INSERT INTO token_key (digest, token_revision, issue_revision, key_hint) VALUES (?, ?, ?, 'Aa00')",
      ).run(randomBytes(32), revision, 1);
    },
    async listed(filter: Partial<TokenFilter>, atMs = nowMs) {
      const page = await reader.list(aQuery({ filter: { ...everything, ...filter }, nowMs: atMs }));
      return page.tokens.map(({ createRevision }) => createRevision);
    },
  };
}

it("finds the tokens that are held, by a hold of their own or of their account, and the others", async () => {
  const tokens = openTokens();
  const [held, , ofHeldAccount, ofClosedAccount] = [
    ...[tokens.create(), tokens.create()],
    ...[tokens.create({ account: "held" }), tokens.create({ account: "closed" })],
  ];
  tokens.hold(held ?? 0);
  tokens.holdAccount("held");
  tokens.closeAccount("closed");
  expect(await tokens.listed({ held: true })).toEqual([ofHeldAccount, held]);
  expect(await tokens.listed({ held: false })).toEqual([ofClosedAccount, 2]);
  expect(await tokens.listed({ held: true, account: "acct_1" })).toEqual([held]);
});

it("finds the tokens with two keys that live now, up to the end of the older one", async () => {
  const tokens = openTokens();
  const plain = tokens.create();
  const [rotating, revoked, expiring] = [tokens.create(), tokens.create(), tokens.create({ expiresAtMs: nowMs + 5 })];
  for (const revision of [rotating, revoked, expiring]) {
    tokens.addKey(revision, nowMs + 10);
  }
  tokens.revoke(revoked);
  expect(await tokens.listed({ rotating: true })).toEqual([expiring, rotating]);
  expect(await tokens.listed({ rotating: false })).toEqual([revoked, plain]);
  expect(await tokens.listed({ rotating: true }, nowMs + 5)).toEqual([rotating]);
  expect(await tokens.listed({ rotating: true }, nowMs + 9)).toEqual([rotating]);
  expect(await tokens.listed({ rotating: true }, nowMs + 10)).toEqual([]);
});
