import { afterAll, beforeAll, describe } from "vitest";
import { describeTokenStore } from "../../support/token-store/describe-token-store.ts";
import { type Postgres, startPostgres } from "../support/postgres.ts";
import { migrateTokens } from "./databases.ts";
import { postgresKind } from "./store-kind.ts";

describe("on PostgreSQL 15", () => {
  let server: Postgres;

  beforeAll(async () => {
    server = await startPostgres({ version: 15 });
    await migrateTokens(server);
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  describeTokenStore(postgresKind("PostgreSQL 15", () => server));
});
