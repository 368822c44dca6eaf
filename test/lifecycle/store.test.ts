import { randomUUID } from "node:crypto";
import { cpSync, existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { judge, type RefusalReason } from "../../src/authority/judge.ts";
import { digestKey, mintKey } from "../../src/authority/key.ts";
import type { RotationEnd } from "../../src/authority/token-store.ts";
import { backUp } from "../../src/stores/sqlite/offline/back-up.ts";
import { restore } from "../../src/stores/sqlite/offline/restore.ts";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import type { SqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { openServingStore, type ServingStore } from "../../src/stores/sqlite/serving/serving-store.ts";
import { openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import {
  aNewToken,
  anyLimit,
  aQuery,
  aRequest,
  at,
  createdIn,
  everything,
  sealedKeyIn,
  nowMs as startMs,
} from "../support/token-store/builders.ts";
import { type Lifecycle, lifecycles, live, type Subject, type Verdict } from "./model.ts";

const question = { key: "", requiredPermissions: [], livemode: null, allowedTypes: [] };
const verdicts: ReadonlyMap<RefusalReason, Verdict> = new Map([
  ["TOKEN_REVOKED", "revoked"],
  ["KEY_RETIRED", "retired"],
  ["TOKEN_EXPIRED", "expired"],
  ["TOKEN_HELD", "token_held"],
  ["ACCOUNT_HELD", "account_held"],
  ["ACCOUNT_CLOSED", "account_closed"],
]);

function verdictIn(reason: RefusalReason): Verdict {
  const verdict = verdicts.get(reason);
  if (verdict === undefined) {
    throw new Error(`refused for ${reason}`);
  }
  return verdict;
}

/** A store with two views of it, and a clock that is moved by hand. */
class StoreLifecycle implements Lifecycle, AsyncDisposable {
  #directory = temporaryDataDirectory();
  #nowMs = startMs;
  #store: SqliteTokenStore | null = null;
  #view: ServingStore | null = null;
  #backup: string | null = null;

  async open(): Promise<void> {
    this.#store = await openStore(this.#directory);
    this.#view = openServingStore(this.#store.seed());
  }

  async #close(): Promise<void> {
    await this.#view?.[Symbol.asyncDispose]();
    await this.#store?.[Symbol.asyncDispose]();
  }

  get #views() {
    if (this.#store === null || this.#view === null) {
      throw new Error("the store is not open");
    }
    return [this.#store, this.#view] as const;
  }

  async create(asked: Parameters<Lifecycle["create"]>[0]) {
    const key = mintKey("restricted", true);
    const facts = aNewToken({ ...asked, digest: digestKey(key), keyHint: key.slice(-4) });
    const outcome = await this.#views[1].create(facts, null, anyLimit, at(this.#nowMs));
    return outcome.kind === "account_closed" ? null : { id: createdIn(outcome).token.id, key };
  }

  async setHold(subject: Subject, held: boolean) {
    return (await this.#views[1].setHold(subject, held, "", at(this.#nowMs)))?.kind === "set";
  }

  async closeAccount(account: string) {
    await this.#views[0].closeAccount(account, "", at(this.#nowMs));
  }

  async revoke(id: string, reason: string) {
    await this.#views[0].revoke(id, reason, at(this.#nowMs));
  }

  async revokeAllOf(account: string, reason: string) {
    const filter = { ...everything, account };
    const { tokens } = await this.#views[0].list(aQuery({ filter, limit: 100, nowMs: this.#nowMs }));
    const revisions = tokens.map(({ createRevision }) => createRevision);
    return (await this.#views[1].revokeMatching(revisions, filter, reason, at(this.#nowMs))).length;
  }

  async rotate(id: string, overlapMs: number) {
    const key = mintKey("restricted", true);
    const request = aRequest(randomUUID(), "rotate", key);
    const ask = (view: 0 | 1) =>
      this.#views[view].rotateKey(
        id,
        { digest: digestKey(key), keyHint: key.slice(-4) },
        overlapMs,
        request,
        at(this.#nowMs),
      );
    const outcome = await ask(0);
    switch (outcome?.kind) {
      case "rotated":
        expect(sealedKeyIn(await ask(1))).toBe(key);
        return { key };
      case "account_closed":
        return "closed";
      case "token_not_active":
        return "not_active";
      case "rotation_under_way":
        return "under_way";
      default:
        throw new Error(`expected a rotation, not ${outcome?.kind}`);
    }
  }

  async endRotation(id: string, end: RotationEnd) {
    const outcome = await this.#views[1].endRotation(id, end, at(this.#nowMs));
    switch (outcome?.kind) {
      case "ended":
        return "done";
      case "token_not_active":
        return "not_active";
      case "rotation_not_under_way":
        return "not_under_way";
      default:
        throw new Error(`expected the end of a rotation, not ${outcome?.kind}`);
    }
  }

  async use(key: string) {
    const token = await this.#views[0].findByDigest(digestKey(key));
    if (token !== null) {
      await this.#views[0].recordUses([{ issueRevision: token.issueRevision, usedAtMs: this.#nowMs }]);
    }
  }

  async verdictsOf(key: string) {
    return Promise.all(
      this.#views.map(async (view): Promise<Verdict> => {
        const token = await view.findByDigest(digestKey(key));
        if (token === null) {
          return "unknown";
        }
        const principal = { kind: "principal", token, isRemembered: false, beside: null } as const;
        const outcome = judge(question, principal, this.#nowMs);
        return outcome.kind === "principal" ? "accepted" : verdictIn(outcome.reason);
      }),
    );
  }

  async revokeReasonOf(id: string) {
    const token = await this.#views[1].get(id);
    return token === null || token.revokedAtMs === null ? null : token.revokeReason;
  }

  setClock(nowMs: number) {
    this.#nowMs = nowMs;
  }

  async restart() {
    await this.#close();
    await this.open();
  }

  /** Goes on in what a process that was killed now would leave behind. */
  async kill() {
    const left = temporaryDataDirectory();
    cpSync(this.#directory, left, { recursive: true });
    cpSync(`${this.#directory}.marker`, `${left}.marker`);
    await this.#close();
    this.#directory = left;
    await this.open();
  }

  async backUp() {
    this.#backup = temporaryDataDirectory();
    await backUp(this.#directory, this.#backup, process.pid);
  }

  async restore() {
    await this.#close();
    const log = `${temporaryDataDirectory()}.log`;
    renameSync(join(this.#directory, "revocations.log"), log);
    this.#directory = temporaryDataDirectory();
    const order = { directory: this.#directory, revocationLog: null, marker: null, acceptLost: false };
    await restore({ ...order, backup: this.#backup ?? "", revocations: [log] }, this.#nowMs);
    await this.open();
  }

  async faultOfJournal() {
    return existsSync(this.#directory) ? verifyJournal(this.#directory, null).fault : "it is not there";
  }

  [Symbol.asyncDispose]() {
    return this.#close();
  }
}

it("a store keeps what the model says, whatever happens to it", { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(lifecycles({ maxCommands: 30, hasClock: true }), async (commands) => {
      await using store = new StoreLifecycle();
      await store.open();
      await live(store, commands, { nowMs: startMs, hasClock: true });
    }),
    { numRuns: 12 },
  );
});
