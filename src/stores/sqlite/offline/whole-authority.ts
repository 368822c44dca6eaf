import { emptyHead, type JournalHead } from "../../../authority/journal.ts";
import type { Log } from "../../../machine/log.ts";
import { dataFiles, type Elsewhere } from "../data-directory.ts";
import { lockDataDirectory } from "../data-directory-lock.ts";
import { selectJournalHead } from "../journal-head.ts";
import { readLastOldRevision } from "../old-hashes.ts";
import { inspect } from "../open-database.ts";
import { openSqliteTokenStore } from "../open-sqlite-token-store.ts";
import { requireDatabase } from "../store-fault.ts";
import { readAuthorityId } from "../store-identity.ts";
import { toSealedKey } from "../writer/sealed-keys.ts";

type Value = string | number | Uint8Array | null;

/** All that a data directory holds of its authority. Disposed, the directory may be served again. */
export type WholeAuthority = Disposable & {
  readonly authorityId: string;
  readonly lastOldRevision: number;
  readonly head: JournalHead;
  /** The rows of a table by the columns that are named, in the order of its key. */
  rows(table: string, columns: readonly string[], key: readonly string[]): Iterable<readonly Value[]>;
};

/**
 * Opens a data directory as a server does, so that an old copy or a directory in use is refused, and an older database
 * is brought up to date; and then for reading alone, owned until it is disposed.
 */
export async function openWholeAuthority(directory: string, elsewhere: Elsewhere, log: Log): Promise<WholeAuthority> {
  const files = dataFiles(directory, elsewhere);
  requireDatabase(files);
  let failure: unknown = null;
  const store = await openSqliteTokenStore(directory, {
    ...elsewhere,
    minFreeBytes: 0,
    log,
    onFatal(error) {
      failure = error;
    },
  });
  await store[Symbol.asyncDispose]();
  if (failure !== null) {
    throw failure;
  }
  using opening = new DisposableStack();
  opening.use(lockDataDirectory(files.directory));
  const { db } = opening.use(inspect(files.database));
  const whole = {
    authorityId: readAuthorityId(db),
    lastOldRevision: readLastOldRevision(db),
    head: selectJournalHead(db)() ?? emptyHead,
  };
  const opened = opening.move();
  return {
    ...whole,
    *rows(table, columns, key) {
      const sealed = columns.indexOf("sealed_key");
      const selected = columns.map((column, at) => (at === sealed ? sealedKeySql : column));
      const select = db
        .prepare<[], Value[]>(`SELECT ${selected.join(", ")} FROM ${table} ORDER BY ${key.join(", ")}`)
        .raw();
      for (const row of select.iterate()) {
        const content = row[sealed];
        yield content instanceof Uint8Array ? row.with(sealed, toSealedKey(content)) : row;
      }
    },
    [Symbol.dispose]: () => opened.dispose(),
  };
}

const sealedKeySql = "(SELECT content FROM sealed_key WHERE slot = sealed_slot)";
