import { beforeAll, describe } from "vitest";
import { describeTokenStore } from "../../support/token-store/describe-token-store.ts";
import type { Postgres } from "../support/postgres.ts";
import { startTokens } from "./databases.ts";
import { postgresKind } from "./store-kind.ts";

describe("on PostgreSQL 18", () => {
  let server: Postgres;

  beforeAll(async () => {
    server = await startTokens({ version: 18 });
    return () => server[Symbol.asyncDispose]();
  });

  describeTokenStore(postgresKind("PostgreSQL 18", () => server));
});
