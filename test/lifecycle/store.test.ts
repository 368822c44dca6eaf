import { cpSync, existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { it } from "vitest";
import { digestKey, mintKey } from "../../src/authority/key.ts";
import { type HoldRefusal, holdRefusal, stateOf } from "../../src/authority/token.ts";
import { backUp } from "../../src/stores/sqlite/offline/back-up.ts";
import { restore } from "../../src/stores/sqlite/offline/restore.ts";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import type { SqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { openServingStore, type ServingStore } from "../../src/stores/sqlite/serving/serving-store.ts";
import { openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import { aNewToken, anyLimit, at, createdIn, nowMs as startMs } from "../support/token-store/builders.ts";
import { type Lifecycle, lifecycles, live, type Subject, type Verdict } from "./model.ts";

const verdictOfHold = {
  TOKEN_HELD: "token_held",
  ACCOUNT_HELD: "account_held",
  ACCOUNT_CLOSED: "account_closed",
} satisfies Record<HoldRefusal, Verdict>;

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

  async verdictsOf(key: string) {
    return Promise.all(
      this.#views.map(async (view): Promise<Verdict> => {
        const token = await view.findByDigest(digestKey(key));
        const state = token === null ? "unknown" : stateOf(token, this.#nowMs);
        const hold = token === null ? null : holdRefusal(token);
        return state !== "active" ? state : hold === null ? "accepted" : verdictOfHold[hold];
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
      await live(store, commands, startMs);
    }),
    { numRuns: 12 },
  );
});
