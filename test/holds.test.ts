import { describe, expect, it } from "vitest";
import { AccountState, TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction, type CreateResponse, RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { digestKey } from "../src/authority/key.ts";
import { RestRig } from "./rest/rest-rig.ts";
import { everyDoor } from "./support/every-door.ts";
import { TestServer } from "./support/test-server.ts";
import { Watcher } from "./support/watcher.ts";

const heldAtDoors = (reason: string, status: number) => [
  `refusal ${reason}`,
  `refusal ${reason}`,
  ...Array.from({ length: 3 }, () => `${status} ${reason}`),
];

describe("with two threads and the REST API", () => {
  it("no door accepts a key whose token or account was held, from the answer on, and each does again once it is released", {
    timeout: 120_000,
  }, async () => {
    await using authority = await RestRig.start({ TOKEN_AUTHORITY_THREADS: "2" });
    const doors = everyDoor(authority);
    // Each asks on a new connection, which the system gives to either thread.
    const askAll = async (key: string) => await Promise.all([...doors, ...doors].map((ask) => ask(key)));
    const asItShould = [...doors, ...doors].map(() => "accepted");
    for (let round = 0; round < 50; round += 1) {
      authority.goOnWithAnotherAccount();
      const { key, id } = await authority.issue();
      const [subject, reason] =
        round % 2 === 0
          ? ([{ case: "account", value: authority.account }, "account_held"] as const)
          : ([{ case: "tokenId", value: id }, "token_held"] as const);
      const known = await askAll(key);
      await authority.tokens.setHold({ subject, held: true });
      const held = await askAll(key);
      await authority.tokens.setHold({ subject, held: false });
      const released = await askAll(key);
      const refused = heldAtDoors(reason, 403);
      expect([known, held, released], `round ${round}`).toEqual([asItShould, [...refused, ...refused], asItShould]);
    }
  });

  it("no door accepts a key of a closed account, nor one that a Create beside the closure has made", {
    timeout: 120_000,
  }, async () => {
    await using authority = await RestRig.start({ TOKEN_AUTHORITY_THREADS: "2" });
    const doors = everyDoor(authority);
    const creators = Array.from({ length: 8 }, () => authority.tokens);
    for (let round = 0; round < 4; round += 1) {
      authority.goOnWithAnotherAccount();
      const { account } = authority;
      const request = { account, name: "a key", type: TokenType.SECRET };
      const creations = Array.from({ length: 64 }, (_, index) => creators[index % 8]?.create(request));
      const closing = authority.tokens.closeAccount({ account });
      const made = await Promise.allSettled(creations);
      const closed = await closing;
      const keys: string[] = [];
      for (const one of made) {
        if (one.status === "fulfilled") {
          expect(one.value?.revision).toBeLessThan(closed.revision);
          keys.push(one.value?.key ?? "");
        } else {
          expect(String(one.reason)).toContain("[failed_precondition] the account is closed for good");
        }
      }
      for (const key of keys.slice(0, 3)) {
        expect(await Promise.all(doors.map((ask) => ask(key)))).toEqual(heldAtDoors("account_closed", 401));
      }
      const { tokens } = await authority.tokens.list({ account, pageSize: 1000 });
      expect(tokens).toHaveLength(keys.length);
      expect(new Set(tokens.map(({ accountState }) => accountState))).toEqual(
        new Set(keys.length === 0 ? [] : [AccountState.CLOSED]),
      );
    }
  });

  it("a hold, its release and a closure are answered once all who hold a lease have acknowledged what to forget", async () => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: "2" });
    const watchers = Array.from({ length: 4 }, () => new Watcher(authority.tokens, { acknowledges: false }));
    await Promise.all(watchers.map((one) => one.leased()));
    const { tokens } = authority;
    const { id, key } = await authority.issue();
    const token = { case: "tokenId", value: id } as const;
    const account = { case: "account", value: "acct_1" } as const;
    for (const [change, what] of [
      [() => tokens.setHold({ subject: token, held: true }), { case: "digest", value: new Uint8Array(digestKey(key)) }],
      [() => tokens.setHold({ subject: token }), { case: "digest", value: new Uint8Array(digestKey(key)) }],
      [() => tokens.setHold({ subject: account, held: true }), account],
      [() => tokens.setHold({ subject: account }), account],
      [() => tokens.closeAccount({ account: "acct_1" }), account],
    ] as const) {
      const told = watchers.map((one) => one.events.length);
      let answered: bigint | null = null;
      const changing = change().then(({ revision }) => {
        answered = revision;
      });
      for (const [index, watcher] of watchers.entries()) {
        const isNew = (event: (typeof watcher.events)[number]) =>
          watcher.events.indexOf(event) >= (told[index] ?? 0) && event.case === "forget";
        const forget = await watcher.told(isNew);
        expect(forget.case === "forget" && { ...forget.value.what }).toEqual(what);
        // As long as one has not acknowledged.
        expect(answered).toBeNull();
        watcher.renew();
      }
      await changing;
    }
    await Promise.all(watchers.map((one) => one[Symbol.asyncDispose]()));
  });

  it("holds an account of 10 000 tokens in one change, which every thread knows of when it is answered", {
    timeout: 120_000,
  }, async ({ annotate }) => {
    await using authority = await TestServer.start({
      TOKEN_AUTHORITY_THREADS: "2",
      TOKEN_AUTHORITY_MAX_TOKENS_PER_ACCOUNT: "20000",
    });
    const manager = authority.tokens;
    const request = { account: "acct_1", name: "a key", type: TokenType.SECRET };
    const gateways = Array.from({ length: 8 }, () => authority.tokens);
    const created: CreateResponse[] = [];
    while (created.length < 10_000) {
      const some = gateways.flatMap((tokens) => Array.from({ length: 50 }, () => tokens.create(request)));
      created.push(...(await Promise.all(some)));
    }
    const some = created.filter((_, index) => index % 500 === 0);
    const verdicts = async () => {
      const outcomes = await Promise.all(
        some.flatMap(({ key }) => gateways.map((tokens) => tokens.authenticate({ key }))),
      );
      return new Set(outcomes.map(({ outcome }) => (outcome.case === "refusal" ? outcome.value.reason : outcome.case)));
    };
    expect(await verdicts()).toEqual(new Set(["principal"]));
    const account = { case: "account", value: "acct_1" } as const;
    const { revision, subject } = await manager.setHold({ subject: account, held: true });
    expect(await verdicts()).toEqual(new Set([RefusalReason.ACCOUNT_HELD]));
    expect(revision).toBe(10_001n);
    expect(subject).toMatchObject({ case: "account", value: { activeCount: 10_000, state: AccountState.HELD } });
    const { changes } = await manager.listChanges({ pageSize: 1 });
    expect(changes).toMatchObject([{ revision, action: ChangeAction.HOLD, account: "acct_1", tokenId: "" }]);
    const tookMs: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      const startMs = performance.now();
      await manager.setHold({ subject: account, held: round % 2 === 1 });
      tookMs.push(performance.now() - startMs);
    }
    const [least = 0, middle = 0] = [0, 10].map((place) => tookMs.toSorted((a, b) => a - b)[place]);
    await annotate(
      `to hold or release an account of 10 000 tokens took ${middle.toFixed(1)} ms, ${least.toFixed(1)} at the least`,
    );
  });
});
