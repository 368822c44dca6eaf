import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeTokenStore } from "../../support/token-store/describe-token-store.ts";
import { type Pgbouncer, startPgbouncer } from "../support/pgbouncer.ts";
import { type Postgres, serverRole } from "../support/postgres.ts";
import { startTokens } from "./databases.ts";
import { postgresKind } from "./store-kind.ts";

describe("through pgbouncer in session mode", () => {
  let server: Postgres;
  let bouncer: Pgbouncer;

  beforeAll(async () => {
    const settings = { log_statement: "all", log_line_prefix: "%u %a|" };
    server = await startTokens({ settings });
    bouncer = await startPgbouncer(server);
  });

  afterAll(async () => {
    await bouncer?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  describeTokenStore(
    postgresKind(
      "PostgreSQL 15 behind pgbouncer",
      () => server,
      () => bouncer.url(serverRole),
    ),
  );

  describe("what the store has said to the server by then", () => {
    it("holds no state of a session but what opens it: no LISTEN, no lock of a session, no SET but LOCAL", () => {
      // That is what pgbouncer says to a server, of itself, for a client that told its name.
      const said = statementsOf(server, serverRole).filter((text) => !text.startsWith("SET application_name="));
      expect(said.length).toBeGreaterThan(5000);
      const words = /\b(?:LISTEN|NOTIFY|DECLARE|TEMP|TEMPORARY|pg_(?:try_)?advisory\w*|nextval|currval)\b/i;
      expect(said.filter((text) => words.test(text))).toEqual([]);
      expect(said.filter((text) => /\bSET\s+(?!LOCAL\b)\w+\s*(?:=|\bTO\b)/i.test(text) && !isChange(text))).toEqual([]);
      // The third argument makes it LOCAL.
      const isOfSession = /\bset_config\((?!'\w+', '\w+', true\))/;
      const setting = said.filter((text) => isOfSession.test(text));
      expect(setting.length).toBeGreaterThan(100);
      expect(setting.filter((text) => !text.startsWith("SELECT current_setting('transaction_read_only')"))).toEqual([]);
    });
  });
});

/** An UPDATE sets columns. */
function isChange(text: string): boolean {
  return /\bUPDATE\b/i.test(text);
}

/** What a role has sent, as the log of the server tells: a statement may go over lines that begin with a tab. */
function statementsOf(server: Postgres, role: string): readonly string[] {
  const entries = readFileSync(server.logFile, "utf8").split(/\n(?!\t)/);
  return entries.flatMap((entry) => {
    const [, text] = new RegExp(`^${role} [^|]*\\|LOG: {2}(?:statement|execute [^:]*): ([^]*)$`).exec(entry) ?? [];
    return text === undefined ? [] : [text];
  });
}
