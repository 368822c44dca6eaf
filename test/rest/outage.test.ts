import { beforeEach, describe, expect, it } from "vitest";
import { createDelegatedTokens, type DelegatedTokens } from "../../src/authority/delegated-tokens.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { createRestHandler, type RestHandlerOptions } from "../../src/doors/rest/rest-handler.ts";
import { openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import { authorityOver } from "../support/authority-over.ts";
import { bodyOf } from "../support/exchange.ts";
import { undocumentedIn } from "./documented.ts";

const calls: FinishedCall[] = [];
beforeEach(() => {
  calls.length = 0;
});

/** The handler over a real store, with a key, and what a test puts in the place of its parts. */
async function startHandler(
  replace: Partial<RestHandlerOptions> | ((tokens: DelegatedTokens) => DelegatedTokens) = {},
) {
  const store = await openStore(temporaryDataDirectory());
  const authority = authorityOver(store);
  const operator = { identity: "local", role: "operator" } as const;
  const { key, token: own } = await authority.create(operator, {
    ...{ account: "acct_1", name: "a key", type: "secret", livemode: true },
    ...{ permissions: [], expiresAtMs: null, requestId: "" },
  });
  const tokens = createDelegatedTokens({ authority, store, clock: Date.now });
  const handler = createRestHandler({
    authenticate: authority.authenticate,
    tokens: typeof replace === "function" ? replace(tokens) : tokens,
    clock: Date.now,
    onCall: (call) => calls.push(call),
    reportFault() {},
    ...(typeof replace === "function" ? {} : replace),
  });

  async function call(
    method: string,
    path: string,
    body: string | Promise<string> = "",
    signal = new AbortController().signal,
  ) {
    async function* chunks() {
      yield Buffer.from(await body);
    }
    const response = await handler({
      httpVersion: "1.1",
      method,
      url: `http://localhost${path}`,
      header: new Headers({ authorization: `Bearer ${key}`, "content-type": "application/json" }),
      body: chunks(),
      signal,
      peer: { transport: "loopback", identity: "local", fault: null },
    });
    const answer = {
      status: response.status,
      header: new Headers(response.header),
      text: (await bodyOf(response)).toString(),
    };
    if (!signal.aborted) {
      expect(undocumentedIn(method, path, answer)).toBeNull();
    }
    return `${answer.status} ${JSON.parse(answer.text).error?.code}`;
  }
  return { store, key, own, call };
}

const creation = JSON.stringify({ name: "a key", permissions: ["events:read"] });
const id = `tok_${"0".repeat(24)}`;

describe("an outage", () => {
  it("of the store is 503 in every operation, and never 401", async () => {
    const { store, call } = await startHandler();
    await store[Symbol.asyncDispose]();
    expect(await call("GET", "/v1/tokens")).toBe("503 unavailable");
    expect(await call("GET", `/v1/tokens/${id}`)).toBe("503 unavailable");
    expect(await call("POST", "/v1/tokens", creation)).toBe("503 unavailable");
    expect(await call("POST", `/v1/tokens/${id}/revoke`)).toBe("503 unavailable");
    expect(await call("GET", "/v1/tokens/self")).toBe("503 unavailable");
    expect(await call("POST", "/v1/tokens/self/revoke")).toBe("503 unavailable");
    expect(calls.map(({ code, refusal }) => [code, refusal])).toEqual(calls.map(() => ["UNAVAILABLE", null]));
  });

  it("that begins once the key is accepted is 503 as well", async () => {
    const { store, call } = await startHandler((tokens) => ({
      ...tokens,
      async create(maker, request) {
        await store[Symbol.asyncDispose]();
        return tokens.create(maker, request);
      },
    }));
    expect(await call("POST", "/v1/tokens", creation)).toBe("503 unavailable");
  });

  it("of a check that does not come back ends at the deadline with 503", async () => {
    const { call } = await startHandler({ authenticate: () => new Promise(() => {}), deadlineMs: 20 });
    expect(await call("GET", "/v1/tokens")).toBe("503 unavailable");
  });

  it("of a change that does not come back ends at the deadline with 503", async () => {
    const stuck = (tokens: DelegatedTokens) => ({ ...tokens, create: () => new Promise<never>(() => {}) });
    const tokens = stuck({} as DelegatedTokens);
    const { call } = await startHandler({ tokens, deadlineMs: 20 });
    expect(await call("POST", "/v1/tokens", creation)).toBe("503 unavailable");
  });
});

it("the log hears of a fault that comes after the deadline, and not of work that ended because nobody waited", async () => {
  const faults: unknown[] = [];
  const fault = new Error("disk I/O error");
  const revoking = Promise.withResolvers<never>();
  const listing = Promise.withResolvers<void>();
  const tokens: Partial<DelegatedTokens> = {
    revoke: () => revoking.promise,
    async list(_, __, signal) {
      await listing.promise;
      signal.throwIfAborted();
      throw new Error("it went on");
    },
  };
  const { call } = await startHandler({
    // Two operations are all that is asked for.
    tokens: tokens as DelegatedTokens,
    deadlineMs: 20,
    reportFault: (error) => faults.push(error),
  });
  expect(await call("POST", `/v1/tokens/${id}/revoke`)).toBe("503 unavailable");
  expect(await call("GET", "/v1/tokens")).toBe("503 unavailable");
  expect(faults).toEqual([]);
  revoking.reject(fault);
  listing.resolve();
  await new Promise(setImmediate);
  expect(faults).toEqual([fault]);
});

describe("a key that is revoked after it was accepted", () => {
  it("makes and revokes nothing: 401, as any revoked key", async () => {
    for (const path of ["/v1/tokens", `/v1/tokens/${id}/revoke`]) {
      let revokeKey = async (): Promise<unknown> => null;
      const { store, call, own } = await startHandler((tokens) => ({
        ...tokens,
        async create(maker, request) {
          await revokeKey();
          return tokens.create(maker, request);
        },
        async revoke(maker) {
          await revokeKey();
          return tokens.revoke(maker, maker.id, "");
        },
      }));
      revokeKey = () => store.revoke(own.id, "leaked", { caller: "local", atMs: Date.now(), bearerKey: null });
      expect(await call("POST", path, path === "/v1/tokens" ? creation : "")).toBe("401 token_revoked");
      expect(calls.at(-1)).toMatchObject({
        code: "UNAUTHENTICATED",
        refusal: "TOKEN_REVOKED",
        role: null,
        revision: null,
      });
      expect(store.head().revision).toBe(2);
    }
  });
});

it("a body that takes too long is 408, and nothing is made of it", async () => {
  let created = 0;
  const { call } = await startHandler({
    bodyDeadlineMs: 20,
    tokens: {
      async create() {
        created += 1;
        throw new Error("it was created");
      },
    } as unknown as DelegatedTokens,
  });
  const late = Promise.withResolvers<string>();
  expect(await call("POST", "/v1/tokens", late.promise)).toBe("408 body_late");
  late.resolve(creation);
  await new Promise(setImmediate);
  expect(created).toBe(0);
  expect(calls).toMatchObject([{ code: "DEADLINE_EXCEEDED", reason: "BODY_LATE" }]);
});

it("a client that goes away is no outage of ours", async () => {
  const client = new AbortController();
  const { call } = await startHandler((tokens) => ({
    ...tokens,
    list: () => {
      client.abort();
      return new Promise(() => {});
    },
  }));
  await call("GET", "/v1/tokens", "", client.signal);
  expect(calls).toMatchObject([{ code: "CANCELLED", reason: "CLIENT_GONE", role: "bearer" }]);
});

it("a fault of ours is 500, and tells nothing", async () => {
  const { call } = await startHandler((tokens) => ({
    ...tokens,
    get: async () => {
      throw new TypeError("x is not a function");
    },
  }));
  expect(await call("GET", `/v1/tokens/${id}`)).toBe("500 internal");
  expect(calls).toMatchObject([{ code: "INTERNAL", reason: "INTERNAL" }]);
});
