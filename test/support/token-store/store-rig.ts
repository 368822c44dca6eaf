import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { asUnused, type Token } from "../../../src/authority/token.ts";
import type { NewToken, TokenStore } from "../../../src/authority/token-store.ts";
import { aNewToken, anyLimit, at, createdIn, nowMs, revokedIn } from "./builders.ts";

export type OpenStore = TokenStore & AsyncDisposable;

/** A store that the contract suite can open. */
export type StoreKind<Store extends OpenStore> = {
  readonly name: string;
  /** Opens the store in this directory, which is there and empty at first. */
  open(directory: string): Promise<Store>;
  /** Opens another view of the same store, as another thread or machine has it. */
  openView(store: Store): OpenStore | Promise<OpenStore>;
};

/** A fresh store for each test, empty at first. */
export type StoreRig = {
  /** The store as it is open now. */
  readonly store: OpenStore;
  /** Another view of it, closed before the store is. */
  openView(): Promise<OpenStore>;
  /** Closes the store and opens it again. */
  reopen(): Promise<void>;
  create(facts?: Partial<NewToken>, context?: ReturnType<typeof at>): Promise<Token>;
  revoke(token: Pick<Token, "id">, atMs?: number): Promise<Token>;
};

export function openStoreForEach<Store extends OpenStore>(kind: StoreKind<Store>): StoreRig {
  let directory: string;
  let store: Store;
  let views: OpenStore[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "token-store-"));
    store = await kind.open(directory);
    views = [];
  });

  async function close(): Promise<void> {
    await Promise.all(views.splice(0).map((view) => view[Symbol.asyncDispose]()));
    await store[Symbol.asyncDispose]();
  }

  afterEach(async () => {
    await close();
    await rm(directory, { recursive: true });
  });

  return {
    get store() {
      return store;
    },
    async openView() {
      const view = await kind.openView(store);
      views.push(view);
      return view;
    },
    async reopen() {
      await close();
      store = await kind.open(directory);
    },
    async create(facts = {}, context = at(nowMs)) {
      const outcome = await store.create(aNewToken(facts), null, anyLimit, context);
      return asUnused(createdIn(outcome).token);
    },
    async revoke(token, atMs = nowMs) {
      return revokedIn(await store.revoke(token.id, "leaked", at(atMs))).token;
    },
  };
}
