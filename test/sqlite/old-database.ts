import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import Database from "better-sqlite3";
import type { JournalHead } from "../../src/authority/journal.ts";
import type { NewToken } from "../../src/authority/token-store.ts";
import { firstLine, headLine } from "../../src/stores/changes/revocation-line.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { applicationId, migrations } from "../../src/stores/sqlite/schema.ts";
import { readAuthorityId } from "../../src/stores/sqlite/store-identity.ts";
import { openMarker } from "../../src/stores/sqlite/writer/marker.ts";
import { aNewToken, nowMs } from "../support/token-store/builders.ts";

/** The schema of the last release whose tokens had one key each, and of the one before, which gave no names. */
export type OldVersion = 3 | 2;

export type OldLife = {
  readonly token: NewToken;
  readonly createdAtMs: number;
  readonly usedAtMs: number | null;
  /** The content of a slot for a sealed key, or null. */
  readonly sealed: Uint8Array | null;
  readonly revoked: { readonly atMs: number; readonly reason: string } | null;
};

/**
 * Makes a data directory as such a release left it: database, revocation log, and marker where there was one. Its
 * hashes are computed here once more, from what that release promised of them. Creations come first, and then the
 * revocations, in the order given. Returns the newest change.
 */
export function makeOldDirectory(directory: string, lives: readonly OldLife[], version: OldVersion = 3): JournalHead {
  const files = dataFiles(directory);
  mkdirSync(directory, { mode: 0o700 });
  const db = new Database(files.database);
  db.pragma("journal_mode = WAL");
  for (const step of migrations.slice(0, version)) {
    db.exec(step);
  }
  db.pragma(`application_id = ${applicationId}`);
  db.pragma(`user_version = ${version}`);
  let lines = version < 3 ? "" : firstLine(readAuthorityId(db));
  let after = 0;
  const onRevoked = ({ head: { revision, atMs, hash }, ...about }: OldRevocation) => {
    const fields = { after, revision, hash: Buffer.from(hash).toString("hex"), time: atMs, ...about };
    lines += `${JSON.stringify(fields)}\n`;
    after = revision;
  };
  const head = db.transaction(() => fill(db, lives, onRevoked))();
  writeFileSync(files.revocationLog, after === head.revision ? lines : lines + headLine(after, head), { mode: 0o600 });
  if (version >= 3) {
    openMarker(files.marker, readAuthorityId(db), head, 0, () => {})[Symbol.dispose]();
  }
  db.close();
  return head;
}

type OldRevocation = {
  readonly head: JournalHead;
  readonly token_id: string;
  readonly caller: string;
  readonly reason: string;
};

function fill(
  db: Database.Database,
  lives: readonly OldLife[],
  onRevoked: (revocation: OldRevocation) => void,
): JournalHead {
  const insertChange = db.prepare("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)");
  const insertToken = db.prepare("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '', NULL)");
  const insertUse = db.prepare("INSERT INTO last_use VALUES (?, ?)");
  const insertSealed = db.prepare("INSERT INTO sealed_key VALUES (?, ?)");
  const insertRequest = db.prepare("INSERT INTO create_request VALUES ('maker', ?, ?, zeroblob(32), ?, ?, ?)");
  const markRevoked = db.prepare(
    "UPDATE token SET revoked_at_ms = ?, revoke_reason = ?, revoke_revision = ? WHERE id = ?",
  );
  let head: JournalHead = { revision: 0, atMs: 0, hash: new Uint8Array(32) };

  function append(action: "create" | "revoke", token: NewToken, atMs: number, caller: string): void {
    const revision = head.revision + 1;
    const { id, account, type, livemode, permissions, expiresAtMs } = token;
    const digest = Buffer.from(token.digest).toString("hex");
    const facts: readonly unknown[] = [
      revision,
      atMs,
      caller,
      action,
      id,
      digest,
      account,
      type,
      livemode,
      permissions,
    ];
    const text = JSON.stringify([...facts, expiresAtMs]);
    const hash = createHash("sha256").update(head.hash).update(text).digest();
    insertChange.run(revision, atMs, caller, action, id, hash);
    head = { revision, atMs, hash };
  }

  for (const { token, createdAtMs, usedAtMs, sealed } of lives) {
    append("create", token, createdAtMs, "maker");
    const { id, digest, account, name, type, livemode, keyHint, permissions, expiresAtMs } = token;
    const times = ["maker", createdAtMs, expiresAtMs];
    const about = [account, name, type, livemode ? 1 : 0, keyHint, JSON.stringify(permissions)];
    insertToken.run(head.revision, id, digest, ...about, ...times);
    if (usedAtMs !== null) {
      insertUse.run(head.revision, usedAtMs);
    }
    if (sealed !== null) {
      insertSealed.run(head.revision, sealed);
      insertRequest.run(account, id, head.revision, head.revision, createdAtMs);
    }
  }
  for (const { token, revoked } of lives) {
    if (revoked !== null) {
      append("revoke", token, revoked.atMs, "ender");
      markRevoked.run(revoked.atMs, revoked.reason, head.revision, token.id);
      onRevoked({ head, token_id: token.id, caller: "ender", reason: revoked.reason });
    }
  }
  return head;
}

/** A life of nothing special. */
export function aLife(facts: Partial<OldLife> = {}): OldLife {
  return { token: aNewToken(), createdAtMs: nowMs, usedAtMs: null, sealed: null, revoked: null, ...facts };
}
