import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { type Line, openLine } from "../../../src/stores/postgres/line.ts";
import type { AskingNode } from "../../../src/stores/postgres/serving/ask.ts";
import { findByDigests } from "../../../src/stores/postgres/serving/look-up.ts";
import { createReads } from "../../../src/stores/postgres/serving/reads.ts";
import { aQuery } from "../../support/token-store/builders.ts";
import { type Postgres, serverRole } from "../support/postgres.ts";
import { startTokens } from "./databases.ts";
import { fill } from "./fill.ts";
import { recordingLog } from "./recording-log.ts";

const tokens = 1000;
/** The newest change that `fill` makes. */
const newest = tokens + tokens / 10 + tokens / 20;

let server: Postgres;

beforeAll(async () => {
  server = await startTokens();
  await fill(server, "tokens", tokens);
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const digestOf = (text: string) => createHash("sha256").update(text).digest();

/** A node that knows of this change, and has a lease for as long as the test wants it. */
function aNode(state: { revision: number; leaseMs: number }): AskingNode {
  return {
    appliedRevision: () => state.revision,
    requireServing() {},
    freshness: { leaseMs: () => state.leaseMs, untilFresh: async () => {} } as AskingNode["freshness"],
    poll: () => ({ statement: { name: "", text: "SELECT 1" }, values: [] }),
    take() {},
  };
}

/**
 * Reads over a line that counts what is sent on it; `sent` are the values of look-ups of keys. Before each session is
 * handed out, the test may do something.
 */
async function openReads(state = { revision: newest, leaseMs: 1000 }, beforeSession = async () => {}) {
  const settings = readDatabaseSettings(server.url(serverRole), null, "reads");
  const line = openLine(settings, { name: "reads", statementTimeoutMs: 5000 }, recordingLog());
  onTestFinished(() => line[Symbol.asyncDispose]());
  const session = await line.session();
  const sent: number[] = [];
  const counting: Line = {
    ...line,
    async session() {
      await beforeSession();
      return {
        ...session,
        run(statement, values) {
          if (statement === findByDigests) {
            const [digests] = values ?? [];
            sent.push(Array.isArray(digests) ? digests.length : 0);
          }
          return session.run(statement, values);
        },
      };
    },
  };
  return { reads: createReads({ lookUps: counting, lists: counting }, aNode(state)), sent, state };
}

it("all keys that are asked for in a turn are looked up in one query, equal ones once, and 64 at the most", async () => {
  const { reads, sent } = await openReads();
  const digests = [digestOf("key7"), randomBytes(32), digestOf("second40"), digestOf("key7")];
  const found = await Promise.all(digests.map((digest) => reads.findByDigest(digest)));
  expect(found.map((token) => token?.id ?? null)).toEqual(["tok_7", null, "tok_39", "tok_7"]);
  expect(sent).toEqual([3]);
  await Promise.all(Array.from({ length: 200 }, (_, n) => reads.findByDigest(digestOf(`key${n + 1}`))));
  expect(sent.slice(1)).toEqual([64, 64, 64, 8]);
});

it("a look-up never joins a query that was sent before it was asked for", async () => {
  const { reads, sent } = await openReads();
  const first = reads.findByDigest(digestOf("key7"));
  await expect.poll(() => sent.length).toBe(1);
  const second = reads.findByDigest(digestOf("key7"));
  expect((await Promise.all([first, second])).map((token) => token?.id)).toEqual(["tok_7", "tok_7"]);
  expect(sent).toEqual([1, 1]);
});

it("a flood of keys waits for itself, and is undecided beyond what may wait", async () => {
  const { reads, sent } = await openReads();
  const answers = await Promise.allSettled(Array.from({ length: 10_100 }, () => reads.findByDigest(randomBytes(32))));
  expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(10_000);
  const refused = answers.filter((answer) => answer.status === "rejected");
  expect(new Set(refused.map(({ reason }) => reason.reason))).toEqual(new Set(["UNDECIDED"]));
  expect(Math.max(...sent)).toBe(64);
});

it("what a server answers that is behind the node is asked again, and undecided when that does not end", async () => {
  const state = { revision: newest + 1, leaseMs: 1000 };
  let catchUp = async () => {};
  const { reads, sent } = await openReads(state, () => catchUp());
  const undecided = { reason: "UNDECIDED" };
  await expect(reads.findByDigest(digestOf("key7"))).rejects.toMatchObject(undecided);
  await expect(reads.get("tok_7")).rejects.toMatchObject(undecided);
  await expect(reads.list(aQuery())).rejects.toMatchObject(undecided);
  const tries = sent.length;
  expect(tries).toBeGreaterThan(1);
  catchUp = async () => {
    if (sent.length > tries) {
      catchUp = async () => {};
      await server.sql(
        `INSERT INTO token_authority.journal (revision, at_ms, caller, action, hash) VALUES (${newest + 1}, 1, 'c', 'attest', sha256(''))`,
      );
    }
  };
  expect(await reads.findByDigest(digestOf("key7"))).toMatchObject({ id: "tok_7" });
  expect(sent.length).toBe(tries + 2);
});

it("nothing is answered while the node has no lease, though the server answers", async () => {
  const state = { revision: newest, leaseMs: 0 };
  const { reads } = await openReads(state);
  await expect(reads.findByDigest(digestOf("key7"))).rejects.toMatchObject({ reason: "UNDECIDED" });
  await expect(reads.get("tok_7")).rejects.toMatchObject({ reason: "UNDECIDED" });
  state.leaseMs = 1;
  expect(await reads.findByDigest(digestOf("key7"))).toMatchObject({ id: "tok_7" });
  expect(await reads.get("tok_7")).toMatchObject({ id: "tok_7" });
});

it("many lists at once are answered one after the other, and keys do not wait for them", async () => {
  const { reads } = await openReads();
  const lists = Array.from({ length: 300 }, () => reads.list(aQuery({ limit: 1, scanLimit: 10 })));
  expect((await Promise.all(lists)).map((page) => page.tokens[0]?.createRevision)).toEqual(Array(300).fill(tokens));
});
