import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { aNewToken, anyLimit, aRequest, at, createdIn, nowMs } from "../../support/token-store/builders.ts";
import type { Postgres } from "../support/postgres.ts";
import { aDatabase } from "./changes-rig.ts";
import { startTokens } from "./databases.ts";

async function aServer(diskMiB?: number): Promise<Postgres> {
  const server = await startTokens(diskMiB === undefined ? {} : { diskMiB });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const undecided = expect.objectContaining({ reason: "UNDECIDED" });

it("a database that is stopped is UNDECIDED, and the same process changes it again once it is back", async () => {
  const server = await aServer();
  const changes = await (await aDatabase(server)).open();
  const create = () => changes.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
  createdIn(await create());
  await server.kill9();
  expect(await create().catch((error) => error)).toEqual(undecided);
  await server.start();
  await expect
    .poll(() =>
      create().then(
        ({ kind }) => kind,
        ({ reason }) => reason,
      ),
    )
    .toBe("replayed");
});

it.runIf(process.getuid?.() === 0)(
  "a database without room creates nothing and says so, and goes on once there is room",
  async () => {
    const server = await aServer(160);
    const database = await aDatabase(server);
    const changes = await database.open();
    const { token } = createdIn(await changes.create(aNewToken(), null, anyLimit, at(nowMs)));
    const filler = join(dirname(server.directory), "filler");
    fillUp(filler);
    const outcomes = new Set<string>();
    while (!outcomes.has("storage_low")) {
      const some = Array.from({ length: 50 }, () =>
        changes.create(aNewToken({ name: "n".repeat(200) }), null, 1_000_000, at(nowMs)).then(
          ({ kind }) => kind,
          ({ reason }) => reason,
        ),
      );
      for (const outcome of await Promise.all(some)) {
        outcomes.add(outcome);
      }
    }
    // Until there was no room.
    outcomes.delete("created");
    expect([...outcomes]).toEqual(["storage_low"]);
    // What takes something away needs no new page.
    expect(await changes.revoke(token.id, "leaked", at(nowMs)).catch((error) => error)).toSatisfy(
      (answer) => answer.kind === "revoked" || answer.reason === "UNDECIDED",
    );
    rmSync(filler);
    expect((await changes.create(aNewToken(), null, 1_000_000, at(nowMs))).kind).toBe("created");
    expect(await changes.revoke(token.id, "leaked", at(nowMs))).toMatchObject({ kind: "revoked" });
  },
);

/** Leaves no block of the file system. */
function fillUp(path: string): void {
  for (const size of [1024 * 1024, 4096]) {
    for (;;) {
      try {
        writeFileSync(path, Buffer.alloc(size), { flag: "a" });
      } catch {
        break;
      }
    }
  }
}
