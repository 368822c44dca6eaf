// A process with a store in the directory that its first argument names, and its revocation log where the second does.
// It takes orders, a line of JSON each, and says what came of them, a line each. When the store fails it says so and
// ends with 70, as the server would.
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { AuthorityError } from "../../src/authority/errors.ts";
import { mintTokenId } from "../../src/authority/key.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";

const [directory = "", revocationLog = join(directory, "revocations.log")] = process.argv.slice(2);
const junk = join(directory, "junk");

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const store = await openSqliteTokenStore(directory, {
  minFreeBytes: 0,
  revocationLog,
  log: { info() {}, warn() {}, error() {} },
  onFatal(error) {
    say({ fatal: String(error), isServing: store.isServing() });
    process.exitCode = 70;
    setImmediate(() => process.exit());
  },
});

async function create(): Promise<object> {
  const id = mintTokenId();
  const outcome = await store.create(
    {
      id,
      digest: randomBytes(32),
      account: "acct_1",
      name: "n".repeat(100),
      type: "restricted",
      livemode: true,
      keyHint: "Zz09",
      permissions: ["charges:read"],
      expiresAtMs: null,
    },
    null,
    1_000_000,
    { caller: "me", atMs: Date.now(), bearerKey: null },
  );
  return { id, kind: outcome.kind };
}

/** Takes all the room on the disk that is left, to the last byte. */
function fillDisk(file: string): void {
  const descriptor = openSync(file, "w");
  for (let size = 1024 * 1024; size >= 1; ) {
    try {
      writeSync(descriptor, Buffer.alloc(size, "x"));
    } catch {
      size = Math.floor(size / 2);
    }
  }
  closeSync(descriptor);
}

async function follow(order: Record<string, unknown>): Promise<object> {
  switch (order.do) {
    case "create":
      return create();
    case "createUntilFull": {
      const ids: unknown[] = [];
      for (;;) {
        const outcomes = await Promise.all(Array.from({ length: 32 }, create));
        ids.push(
          ...outcomes.flatMap((one) => ("kind" in one && one.kind === "created" && "id" in one ? [one.id] : [])),
        );
        if (outcomes.some((one) => "kind" in one && one.kind === "storage_low")) {
          return { ids };
        }
      }
    }
    case "revoke": {
      const outcome = await store.revoke(String(order.id), "", {
        caller: "me",
        atMs: Date.now(),
        bearerKey: null,
      });
      return { isRevoked: outcome?.kind === "revoked" && (await store.get(outcome.token.id))?.revokedAtMs !== null };
    }
    case "hold": {
      const context = { caller: "me", atMs: Date.now(), bearerKey: null };
      const outcome = await store.setHold({ account: "acct_1" }, true, "", context);
      return { kind: outcome?.kind };
    }
    case "rotate":
    case "endRotation": {
      const context = { caller: "me", atMs: Date.now(), bearerKey: null };
      const key = { digest: randomBytes(32), keyHint: "Zz10" };
      const request = { id: "1", bodyDigest: randomBytes(32), sealedKey: randomBytes(60) };
      const outcome =
        order.do === "rotate"
          ? await store.rotateKey(String(order.id), key, 3_600_000, request, context)
          : await store.endRotation(String(order.id), { kind: "cut" }, context);
      return { kind: outcome?.kind };
    }
    case "fillDisk":
      fillDisk(junk);
      return {};
    case "fillDiskOfLog":
      fillDisk(join(dirname(revocationLog), "junk"));
      return {};
    case "readLog":
      return { text: readFileSync(revocationLog, "utf8") };
    case "freeDisk":
      rmSync(junk);
      return {};
    case "stats":
      return { ...store.stats(), revision: store.head().revision, isServing: store.isServing() };
    default:
      throw new Error("unknown order");
  }
}

say({ pid: process.pid });
for await (const line of createInterface(process.stdin)) {
  try {
    say(await follow(JSON.parse(line)));
  } catch (error) {
    say({ error: error instanceof AuthorityError ? error.reason : String(error) });
  }
}
