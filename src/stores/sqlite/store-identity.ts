import type Database from "better-sqlite3";

/** The name that a database was given when it was made. Its copies and backups have the same. */
export function readAuthorityId(db: Database.Database): string {
  const row = db.prepare<[], { readonly id: string }>("SELECT id FROM authority").get();
  if (row === undefined) {
    throw new Error(`${db.name} does not say whose it is`);
  }
  return row.id;
}
