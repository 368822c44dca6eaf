import { randomBytes, randomUUID } from "node:crypto";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import {
  openPostgresTokenStore,
  type PostgresTokenStore,
} from "../../../src/stores/postgres/open-postgres-token-store.ts";
import type { StoreKind } from "../../support/token-store/store-rig.ts";
import { type Postgres, serverRole } from "../support/postgres.ts";
import { emptyTokens } from "./databases.ts";
import { recordingLog } from "./recording-log.ts";

const ourSecret = randomBytes(32);

/** The times of changes are made up: there is no clock to compare them with. */
export const madeUpTimes = () => Number.NaN;

/** Opens a store on a database of the server, as a node of its own. */
export async function openStoreOn(
  url: string,
  log = recordingLog(),
  sealingSecret = ourSecret,
): Promise<PostgresTokenStore> {
  const settings = readDatabaseSettings(url, null, `node-${randomUUID()}`);
  return openPostgresTokenStore(settings, { sealingSecret, graceMs: 0, log, databaseClock: madeUpTimes });
}

/**
 * Stores on a server that was migrated. For another directory its database is emptied: one is in use at a time. `url`
 * leads to its database, by default straight.
 */
export function postgresKind(
  name: string,
  server: () => Postgres,
  url = () => server().url(serverRole),
): StoreKind<PostgresTokenStore> {
  let present = "";
  return {
    name,
    async open(directory) {
      if (directory !== present) {
        present = directory;
        await emptyTokens(server());
      }
      return openStoreOn(url());
    },
    openView: () => openStoreOn(url()),
  };
}
