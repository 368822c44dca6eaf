import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { clientOf } from "../../support/authority-process.ts";
import { type Edit, plantedCopy } from "../support/planted-copy.ts";
import { ownerRole, type Postgres, serverRole } from "../support/postgres.ts";
import { runProgram } from "../support/run-program.ts";
import { type ServerProcess, startServerProcess } from "../support/server-process.ts";
import { startTokens } from "./databases.ts";
import { makeSealingSecret, verdictOf } from "./node-process.ts";

const schema = "src/stores/postgres/schema.ts";
const commandTimeoutMs = 60_000;
const thisRelease = join(import.meta.dirname, "../../..");

/** A release whose schema has these steps beyond that of this tree, each with its oldest version. */
function releaseWith(folder: string, steps: readonly string[]): string {
  const more = steps.map((step) => `  { indexes: [], ${step} },\n`).join("");
  const edit: Edit = {
    file: schema,
    from: "    oldestVersion: 1,\n  },\n];",
    to: `    oldestVersion: 1,\n  },\n${more}];`,
  };
  return plantedCopy(folder, [edit]);
}

const expanding = `statements: "ALTER TABLE token_authority.token ADD COLUMN note text", oldestVersion: 1`;
const contracting = `statements: "ALTER TABLE token_authority.token DROP COLUMN note", oldestVersion: 2`;

async function migrate(root: string, server: Postgres): Promise<string> {
  const args = ["src/main.ts", "migrate", server.url(ownerRole)];
  const { stdout, stderr } = await runProgram(process.execPath, args, { cwd: root, timeoutMs: commandTimeoutMs });
  return stdout + stderr;
}

it("two releases serve one database, and the step that the older one cannot live with waits for its end", async () => {
  using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-rolling-"));
  await using server = await startTokens();
  const next = releaseWith(join(scratch.path, "next"), [expanding]);
  const afterNext = releaseWith(join(scratch.path, "after-next"), [expanding, contracting]);
  const sealingSecret = makeSealingSecret(scratch.path);
  const start = async (root: string, name: string): Promise<ServerProcess> => {
    const settings = { DATABASE: server.url(serverRole), NODE_NAME: name, THREADS: "2", SHUTDOWN_GRACE_MS: "1000" };
    const started = await startServerProcess({ root, dataDirectory: scratch.path, sealingSecret, settings });
    onTestFinished(() => started.kill());
    return started;
  };

  const old = await start(thisRelease, "old");
  await expect(start(next, "new")).rejects.toThrow(/needs 2: npm run migrate -- DATABASE brings it there/);
  expect(await migrate(next, server)).toContain("was brought from schema version 1 to 2");
  const renewed = await start(next, "new");
  // As a release is taken back: it starts on what the newer one has made.
  const again = await start(thisRelease, "again");
  const clients = [old, renewed, again].map(({ address }) => clientOf(address));
  for (const [place, maker] of clients.entries()) {
    const { key, token } = await maker.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
    const verdicts = async () => new Set(await Promise.all(clients.map((client) => verdictOf(client, key))));
    expect(await verdicts()).toEqual(new Set(["principal"]));
    const id = token?.id ?? "";
    await clients[(place + 1) % 3]?.setHold({ subject: { case: "tokenId", value: id }, held: true });
    expect(await verdicts()).toEqual(new Set([RefusalReason.TOKEN_HELD]));
    await clients[(place + 2) % 3]?.revoke({ id });
    expect(await verdicts()).toEqual(new Set([RefusalReason.TOKEN_REVOKED]));
  }

  expect(await migrate(afterNext, server)).toContain(
    "schema version 3 would break nodes that serve now: bring again:1, again:2, old:1, old:2 to a newer release first",
  );
  await Promise.all([old.stop(), again.kill()]);
  expect(await migrate(afterNext, server)).toContain("was brought from schema version 2 to 3");
  await expect(start(thisRelease, "old")).rejects.toThrow(/start a newer release/);
  const { key } = await clientOf(renewed.address).create({ account: "acct_1", name: "b", type: TokenType.SECRET });
  expect(await verdictOf(clientOf(renewed.address), key)).toBe("principal");
});
