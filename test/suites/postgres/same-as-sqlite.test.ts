import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import type { ChangeContext } from "../../../src/authority/journal.ts";
import { mintTokenId } from "../../../src/authority/key.ts";
import type { CreateRequestRecord, NewToken, RotationEnd, TokenWrites } from "../../../src/authority/token-store.ts";
import { type ChangeAnswer, type ChangeCall, isUrgent, urgentFirst } from "../../../src/stores/changes/change-call.ts";
import { makeChange } from "../../../src/stores/changes/change-maker.ts";
import { dataFiles } from "../../../src/stores/sqlite/data-directory.ts";
import { openWriterDatabase } from "../../../src/stores/sqlite/open-database.ts";
import { createWriter, type Writer } from "../../../src/stores/sqlite/writer/writer.ts";
import { temporaryDataDirectory } from "../../sqlite/store-rig.ts";
import { at, everything, nowMs } from "../../support/token-store/builders.ts";
import type { Postgres } from "../support/postgres.ts";
import { createRandom } from "../support/random.ts";
import { aDatabase } from "./changes-rig.ts";
import { startTokens } from "./databases.ts";

let server: Postgres;

beforeAll(async () => {
  server = await startTokens();
  return () => server[Symbol.asyncDispose]();
});

const groups = 200;
const maxTogether = 14;
/** How far two calls of a group are apart: tokens expire between them. */
const apartMs = 6;

function openWriter(): Writer {
  const directory = temporaryDataDirectory();
  mkdirSync(directory);
  const db = openWriterDatabase(dataFiles(directory).database);
  onTestFinished(() => void db.close());
  return createWriter(db);
}

/** All in one transaction, the urgent ones first, as both stores take what waits. */
function askSqlite(writer: Writer, calls: readonly ChangeCall[]): readonly unknown[] {
  const answers = writer.transact(
    () => new Map(calls.toSorted(urgentFirst).map((call) => [call, makeChange(writer, call, () => false)])),
  );
  return calls.map((call) => outcomeOf(answers.get(call)));
}

function outcomeOf(answer: ChangeAnswer | undefined): unknown {
  return answer !== undefined && "outcome" in answer ? answer.outcome : answer?.changes;
}

function askPostgres(store: TokenWrites, call: ChangeCall): Promise<unknown> {
  switch (call.method) {
    case "create":
      return store.create(call.token, call.request, call.maxLiveTokens, call.context);
    case "revoke":
      return store.revoke(call.id, call.reason, call.context);
    case "revokeMatching":
      return store.revokeMatching(call.createRevisions, call.filter, call.reason, call.context);
    case "rotateKey":
      return store.rotateKey(call.id, call.key, call.overlapMs, call.request, call.context);
    case "endRotation":
      return store.endRotation(call.id, call.end, call.context);
    case "setHold":
      return store.setHold(call.subject, call.held, call.reason, call.context);
    case "closeAccount":
      return store.closeAccount(call.account, call.reason, call.context);
  }
}

/** Calls that mean something to each other, by a seed. */
function createCalls(seed: number) {
  const { below, pick, chance } = createRandom(seed);
  /** Of a token that nobody has, and of those that were created. */
  const ids: string[] = [mintTokenId()];
  const pickId = () => pick(ids.slice(-10));

  function contextAt(clockMs: number, revision: number): ChangeContext {
    return chance(0.2)
      ? { caller: pickId(), atMs: clockMs, bearerKey: 1 + below(revision + 1) }
      : at(clockMs, pick(["till", "dashboard"]));
  }

  function aRequest(requestIds: readonly string[]): CreateRequestRecord | null {
    const bodyDigest = createHash("sha256")
      .update(pick(["body", "body", "other"]))
      .digest();
    return chance(0.5) ? { id: pick(requestIds), bodyDigest, sealedKey: randomBytes(60) } : null;
  }

  function aToken(clockMs: number): NewToken {
    return {
      ...{
        id: mintTokenId(),
        digest: randomBytes(32),
        account: pick(["acct_1", "acct_1", "acct_1", "acct_2", "acct_3"]),
        keyHint: "Zz09",
      },
      name: pick(["Till", "Küche ✓", 'a "quoted" \\ name, {with} NULL']),
      type: pick(["secret", "restricted", "restricted"] as const),
      livemode: chance(0.8),
      permissions: pick([[], ["charges:read"], ["tokens:write", "charges:read"]]),
      expiresAtMs: pick([null, clockMs + below(300), clockMs + below(300)]),
    };
  }

  function aCall(clockMs: number, revision: number): ChangeCall {
    const context = contextAt(clockMs, revision);
    const [id, account] = [pickId(), pick(["acct_1", "acct_2", "acct_3", "acct_4"])];
    const kind = below(100);
    if (kind < 35) {
      const [token, request] = [aToken(clockMs), aRequest(["1", "2", "3", "4"])];
      return { method: "create", token, request, maxLiveTokens: 3 + below(5), context };
    }
    if (kind < 55) {
      const [key, request] = [{ digest: randomBytes(32), keyHint: "Aa11" }, aRequest(["1", "5", "6"])];
      return { method: "rotateKey", id, key, overlapMs: pick([0, 50, 100_000]), request, context };
    }
    if (kind < 70) {
      const moved: RotationEnd = { kind: "move", endsAtMs: clockMs + below(500) };
      return {
        method: "endRotation",
        id,
        end: pick<RotationEnd>([{ kind: "cut" }, { kind: "cancel" }, moved]),
        context,
      };
    }
    if (kind < 80) {
      return { method: "revoke", id, reason: "leaked", context };
    }
    if (kind < 99) {
      const subject = pick([{ tokenId: id }, { account }]);
      return { method: "setHold", subject, held: chance(0.3), reason: "asked for", context };
    }
    return { method: "closeAccount", account: pick(["acct_3", "acct_4"]), reason: "left", context };
  }

  return {
    below,
    note(asked: readonly ChangeCall[], outcomes: readonly unknown[]): void {
      for (const [index, call] of asked.entries()) {
        if (call.method === "create" && kindOf(outcomes[index]) === "created") {
          ids.push(call.token.id);
        }
      }
    },
    together(clockMs: number, revision: number): readonly ChangeCall[] {
      const asked: ChangeCall[] = [];
      const length = 1 + below(maxTogether);
      while (asked.length < length) {
        // What takes something away may be asked for again.
        const again = chance(0.3) ? asked.findLast(isUrgent) : undefined;
        asked.push(again === undefined ? aCall(clockMs + asked.length * apartMs, revision) : { ...again });
      }
      return asked;
    },
    /** By itself, as both stores take it. */
    byFilter(clockMs: number, revision: number): readonly ChangeCall[] {
      const createRevisions = Array.from({ length: Math.min(100, revision) }, (_, index) => revision - index);
      const filter = { ...everything, account: "acct_1", states: ["expired" as const], held: false };
      return [{ method: "revokeMatching", createRevisions, filter, reason: "old", context: at(clockMs) }];
    },
  };
}

/**
 * Whatever is asked together is decided by the same rules, over rows in memory here and over statements there. The hash
 * of the newest change stands for every fact of every change, and for their order and times.
 */
it.each([1, 2, 3])(
  "has the same outcomes and the same journal as SQLite, whatever comes together: seed %i",
  async (seed) => {
    const calls = createCalls(seed);
    const writer = openWriter();
    const postgres = await (await aDatabase(server)).open();
    const seen = new Set<string>();
    let clockMs = nowMs;
    for (let group = 0; group < groups; group += 1) {
      clockMs += maxTogether * apartMs + calls.below(60);
      const { revision } = writer.head();
      const asked = group % 10 === 9 ? calls.byFilter(clockMs, revision) : calls.together(clockMs, revision);
      const expected = askSqlite(writer, asked);
      const found = await Promise.all(asked.map((call) => askPostgres(postgres, call)));
      expect(found, `group ${group}`).toEqual(expected);
      expect(postgres.node.head(), `group ${group}`).toEqual(writer.head());
      calls.note(asked, expected);
      for (const outcome of expected) {
        seen.add(kindOf(outcome));
      }
      const uses = [{ issueRevision: Math.max(1, writer.head().revision - calls.below(9)), usedAtMs: clockMs }];
      if (writer.head().revision > 0) {
        writer.transact(() => writer.recordUses(uses));
        await postgres.recordUses(uses);
      }
    }
    // Else the run tells little.
    const wanted = [
      "created",
      "replayed",
      "rotated",
      "ended",
      "revoked",
      "set",
      "limit_reached",
      "maker_refused",
      "closed",
    ];
    expect(wanted.filter((kind) => !seen.has(kind) && !seen.has(`account_${kind}`))).toEqual([]);
  },
);

function kindOf(outcome: unknown): string {
  return typeof outcome === "object" && outcome !== null && "kind" in outcome ? String(outcome.kind) : "none";
}
