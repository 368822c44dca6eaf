import {
  appendFileSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { aNewToken, at, everything, revokedIn } from "../support/token-store/builders.ts";
import { editByHand, openStore, temporaryDataDirectory } from "./store-rig.ts";

const first = `tok_${"1".repeat(24)}`;
const second = `tok_${"2".repeat(24)}`;

/** A closed store: revisions 1 to 3 create tokens, 4 and 5 revoke the first two, and 6 creates one more. */
async function aRevokedDirectory(): Promise<{ readonly directory: string; readonly log: string }> {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  for (const id of [first, second, `tok_${"3".repeat(24)}`]) {
    await store.create(aNewToken({ id }), null, 10, at(1000, "spiffe://a"));
  }
  await store.revoke(first, "leaked\n“here”", at(2001, "spiffe://b"));
  await store.revoke(second, "", at(2002, "spiffe://b"));
  await store.create(aNewToken(), null, 10, at(3000));
  await store[Symbol.asyncDispose]();
  return { directory, log: join(directory, "revocations.log") };
}

function linesOf(file: string): readonly Record<string, unknown>[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

async function restart(directory: string, options: Parameters<typeof openStore>[2] = {}): Promise<void> {
  const store = await openStore(directory, 0, options);
  await store[Symbol.asyncDispose]();
}

it("holds each revocation by the time it is answered, and says how far it reaches", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  await store.create(aNewToken({ id: first }), null, 10, at(1000, "spiffe://a"));
  const outcome = revokedIn(await store.revoke(first, "leaked", at(2000, "spiffe://b")));
  const hash = Buffer.from(outcome.change?.hash ?? []).toString("hex");
  expect(linesOf(join(directory, "revocations.log"))).toEqual([
    { after: 0, revision: 0, hash: "0".repeat(64), authority: expect.stringMatching(/^[0-9a-f]{32}$/) },
    { after: 0, revision: 1, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    {
      after: 1,
      time: 2000,
      revision: 2,
      hash,
      action: "revoke",
      token_id: first,
      caller: "spiffe://b",
      reason: "leaked",
    },
  ]);
  await store.revoke(first, "again", at(3000, "spiffe://b"));
  await store.create(aNewToken(), null, 10, at(4000));
  await store[Symbol.asyncDispose]();
  expect(linesOf(join(directory, "revocations.log")).slice(3)).toEqual([
    { after: 2, revision: 3, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ]);
});

it("holds each revocation by filter by the time it is answered, in the order of their revisions", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const ids = Array.from({ length: 40 }, (_, index) => `tok_${String(index).padStart(24, "0")}`);
  await Promise.all(ids.map((id) => store.create(aNewToken({ id }), null, 100, at(1000))));
  const revisions = ids.map((_, index) => index + 1);
  const revoked = await store.revokeMatching(revisions, everything, "lost", at(2000, "spiffe://b"));
  const lines = linesOf(join(directory, "revocations.log")).slice(2);
  expect(lines.map(({ token_id }) => token_id)).toEqual(ids);
  expect(lines.map(({ revision, hash, reason }) => [revision, hash, reason])).toEqual(
    revoked.map(({ revision, hash }) => [revision, Buffer.from(hash).toString("hex"), "lost"]),
  );
});

it("keeps all revocations of one commit in the order of their revisions", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const ids = Array.from({ length: 50 }, (_, index) => `tok_${String(index).padStart(24, "0")}`);
  await Promise.all(ids.map((id) => store.create(aNewToken({ id }), null, 100, at(1000))));
  await Promise.all(ids.map((id) => store.revoke(id, "", at(2000))));
  const lines = linesOf(join(directory, "revocations.log"));
  expect(lines.map(({ token_id }) => token_id).filter((id) => id !== undefined)).toEqual(ids);
  expect(lines.map(({ after }) => after)).toEqual([0, 0, ...lines.slice(1, -1).map(({ revision }) => revision)]);
});

it("may lie elsewhere", async () => {
  const directory = temporaryDataDirectory();
  const log = `${temporaryDataDirectory()}.log`;
  const store = await openStore(directory, 0, { revocationLog: log });
  await store.create(aNewToken({ id: first }), null, 10, at(1000));
  await store.revoke(first, "", at(2000));
  expect(linesOf(log)).toHaveLength(3);
});

it("gets at the next start what a crash has left out, whole lines or a half one", async () => {
  const { directory, log } = await aRevokedDirectory();
  const whole = readFileSync(log, "utf8");
  expect(linesOf(log).map(({ revision }) => revision)).toEqual([0, 1, 4, 5, 6]);
  const [begun = "", one = "", two = "", three = ""] = whole.split(/(?<=\n)/);
  for (const size of [begun + one, begun + one + two, begun + one + two + three].flatMap(({ length }) => [
    length,
    length - 1,
    length - 40,
  ])) {
    // Bytes, not characters: the reason of the second line is not ASCII.
    truncateSync(log, Buffer.byteLength(whole.slice(0, size)));
    await restart(directory);
    expect(linesOf(log).filter((line) => "token_id" in line)).toEqual(
      whole
        .split("\n")
        .slice(2, 4)
        .map((line) => ({ ...JSON.parse(line), after: expect.any(Number) })),
    );
    expect(linesOf(log).at(-1)).toMatchObject({ revision: 6 });
    writeFileSync(log, whole);
  }
});

it.each([
  ["is missing", (log: string) => rmSync(log)],
  ["is empty", (log: string) => truncateSync(log)],
  ["has nothing but half of its first line", (log: string) => truncateSync(log, 40)],
])(
  "stops the start when it %s though the database has changes, and is made from the journal once that is asked for",
  async (_what, lose) => {
    const { directory, log } = await aRevokedDirectory();
    const before = linesOf(log);
    lose(log);
    await expect(openStore(directory)).rejects.toThrow(
      /^there is no revocation log .*revocations\.log, though the database has 6 changes: .*--new-log$/,
    );
    await restart(directory, { makeAnew: ["revocation log"] });
    expect(linesOf(log)).toEqual([before[0], { ...before[2], after: 0 }, before[3], before[4]]);
    await expect(openStore(directory, 0, { makeAnew: ["revocation log"] })).rejects.toThrow(
      /^--new-log: the revocation log .* is there: start without --new-log$/,
    );
    await restart(directory);
  },
);

it("is taken from beside its place when a restore was killed before it could put it there, unless it is another's", async () => {
  const { directory, log } = await aRevokedDirectory();
  const before = readFileSync(log);
  renameSync(log, `${log}.unfinished`);
  await restart(directory);
  expect(readFileSync(log)).toEqual(before);
  expect(existsSync(`${log}.unfinished`)).toBe(false);
  const other = await aRevokedDirectory();
  renameSync(other.log, `${log}.unfinished`);
  rmSync(log);
  await expect(openStore(directory)).rejects.toThrow(/unfinished tells of another revision 6 than the database/);
  expect(existsSync(log)).toBe(false);
});

it("stops the start when it is the new log of another installation", async () => {
  const { directory, log } = await aRevokedDirectory();
  const other = temporaryDataDirectory();
  await restart(other);
  cpSync(join(other, "revocations.log"), log);
  await expect(openStore(directory)).rejects.toThrow(
    /^the revocation log .* is of another installation than the database/,
  );
});

it("is no link, which would lead its lines elsewhere", async () => {
  const { directory, log } = await aRevokedDirectory();
  renameSync(log, `${log}.1`);
  symlinkSync(`${log}.1`, log);
  await expect(openStore(directory)).rejects.toThrow(/^the revocation log .* is a link/);
});

it("stops the start when it is ahead of the database, which is an old one then", async () => {
  const { directory } = await aRevokedDirectory();
  const old = temporaryDataDirectory();
  cpSync(directory, old, { recursive: true });
  const store = await openStore(directory);
  await store.revoke(`tok_${"3".repeat(24)}`, "", at(4000));
  await store[Symbol.asyncDispose]();
  cpSync(join(old, "tokens.db"), join(directory, "tokens.db"));
  rmSync(`${directory}.marker`);
  await expect(openStore(directory, 0, { makeAnew: ["marker"] })).rejects.toThrow(
    /^the revocation log .*revocations\.log tells of revision 7, which the database does not have: .*npm run restore/,
  );
});

it("stops the start when the database has another history, also one that is longer", async () => {
  const { directory, log } = await aRevokedDirectory();
  const other = await aRevokedDirectory();
  const store = await openStore(other.directory);
  await store.create(aNewToken(), null, 10, at(5000));
  await store[Symbol.asyncDispose]();
  cpSync(log, other.log);
  await expect(openStore(other.directory)).rejects.toThrow(/tells of another revision 6 than the database/);
  expect(readFileSync(other.log)).toEqual(readFileSync(log));
  await restart(directory);
});

it.each([
  ["other lines", "Nov 24 10:00:00 something happened\n"],
  ["no line at all", "secret"],
])("does not touch a file of %s", async (_what, content) => {
  const { directory, log } = await aRevokedDirectory();
  writeFileSync(log, content);
  await expect(openStore(directory)).rejects.toThrow(/revocations\.log is not a revocation log/);
  expect(readFileSync(log, "utf8")).toBe(content);
});

it("stops the start when it cannot be opened", async () => {
  const directory = temporaryDataDirectory();
  const place = { revocationLog: join(directory, "none", "revocations.log") };
  await expect(openStore(directory, 0, place)).rejects.toThrow(/none\/revocations\.log cannot be opened \(ENOENT\)/);
  await expect(openStore(directory, 0, { revocationLog: "/dev/null" })).rejects.toThrow(/null is not a file/);
});

it("cuts off the zeros that a power cut may leave at its end", async () => {
  const { directory, log } = await aRevokedDirectory();
  const whole = readFileSync(log);
  appendFileSync(log, Buffer.alloc(1000));
  await restart(directory);
  expect(readFileSync(log)).toEqual(whole);
});

it("gets anew what stands behind a page that a power cut has left empty", async () => {
  const { directory, log } = await aRevokedDirectory();
  const whole = readFileSync(log);
  const holed = Buffer.from(whole);
  const third = holed.indexOf("\n", holed.indexOf("\n") + 1) + 1;
  holed.fill(0, third - 10, third + 10);
  writeFileSync(log, holed);
  await restart(directory);
  const tokenIds = linesOf(log).flatMap(({ token_id }) => token_id ?? []);
  expect(tokenIds).toEqual([first, `tok_${"2".repeat(24)}`]);
});

it("stops the start when a revocation was taken out of the database by hand", async () => {
  const { directory } = await aRevokedDirectory();
  editByHand(join(directory, "tokens.db"), "DELETE FROM journal WHERE revision = 6");
  rmSync(`${directory}.marker`);
  await expect(openStore(directory, 0, { makeAnew: ["marker"] })).rejects.toThrow(/tells of revision 6/);
});

it.each([
  ["removed", (log: string) => rmSync(log)],
  ["moved away", (log: string) => renameSync(log, `${log}.1`)],
  ["replaced by a copy", replaceByCopy],
  ["emptied", (log: string) => truncateSync(log)],
  ["written to by another store", (log: string) => appendFileSync(log, "{}\n")],
])("answers no revocation once its file was %s, and the next start has all of them in it", async (_how, spoil) => {
  const directory = temporaryDataDirectory();
  const failed = Promise.withResolvers<unknown>();
  const store = await openStore(directory, 0, { onFatal: failed.resolve });
  await store.create(aNewToken({ id: first }), null, 10, at(1000));
  await store.create(aNewToken({ id: second }), null, 10, at(1000));
  await store.revoke(first, "", at(2000));
  const log = join(directory, "revocations.log");
  const whole = readFileSync(log, "utf8");
  spoil(log);
  await expect(store.revoke(second, "", at(3000))).rejects.toMatchObject({ reason: "UNDECIDED" });
  expect(await failed.promise).toMatchObject({ message: expect.stringContaining("was moved, removed, or written to") });
  await store[Symbol.asyncDispose]();
  const left = readFileSync(log, { encoding: "utf8", flag: "a+" });
  if (left.startsWith(whole)) {
    writeFileSync(log, whole);
  }
  await restart(directory, left === "" ? { makeAnew: ["revocation log"] } : {});
  expect(linesOf(log).flatMap(({ token_id }) => token_id ?? [])).toEqual([first, second]);
});

function replaceByCopy(log: string): void {
  cpSync(log, `${log}.1`);
  renameSync(`${log}.1`, log);
}
