import { Code } from "@connectrpc/connect";
import { afterEach, describe, expect, it, vi } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import type { TokenAuthority } from "../../src/authority/token-authority.ts";
import { defaultDeadlines, requestedTimeoutMs, timeoutMs, withoutTimeouts } from "../../src/calls/deadline.ts";
import { eventually, turn } from "../support/eventually.ts";
import { ConnectRig, enveloped, errorOf, protocols, rawRequest, tlsPeer } from "./connect-rig.ts";
import { rawCall, rawError } from "./raw-call.ts";

const { authenticate, create, list } = TokenService.method;
const short = { authenticateMs: 40, unaryMs: 80, greatestUnaryMs: 200 };

afterEach(() => {
  vi.useRealTimers();
});

/** From here on the test's clock stands still, but where it is told to advance. */
function stopClock(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
}

/** Lets the only timer there is run, and not before its time. */
async function expire(ms: number): Promise<void> {
  await eventually(() => vi.getTimerCount() === 1);
  await vi.advanceTimersByTimeAsync(ms - 1);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
}

describe("how long a call may take", () => {
  it("is 1 second for Authenticate, 10 for other unary calls, and for ever for streams", () => {
    expect(timeoutMs(authenticate, null, defaultDeadlines)).toBe(1000);
    expect(timeoutMs(create, null, defaultDeadlines)).toBe(10_000);
    expect(timeoutMs(Health.method.check, null, defaultDeadlines)).toBe(10_000);
    expect(timeoutMs(Health.method.watch, null, defaultDeadlines)).toBeNull();
    expect(timeoutMs(ServerReflection.method.serverReflectionInfo, null, defaultDeadlines)).toBeNull();
  });

  it("is what the caller asks for, up to 60 seconds", () => {
    expect(timeoutMs(authenticate, 20_000, defaultDeadlines)).toBe(20_000);
    expect(timeoutMs(list, 5, defaultDeadlines)).toBe(5);
    expect(timeoutMs(list, 3_600_000, defaultDeadlines)).toBe(60_000);
  });

  it("is never longer than a timer can wait", () => {
    expect(timeoutMs(Health.method.watch, 99_999_999 * 3_600_000, defaultDeadlines)).toBe(2 ** 31 - 1);
  });

  it("is read from the header of the request's own protocol", () => {
    const header = { "grpc-timeout": "2S", "connect-timeout-ms": "7" };
    expect(requestedTimeoutMs(new Headers({ ...header, "content-type": "application/grpc" }))).toBe(2000);
    expect(requestedTimeoutMs(new Headers({ ...header, "content-type": "application/grpc-web+proto" }))).toBe(2000);
    expect(requestedTimeoutMs(new Headers({ ...header, "content-type": "application/json" }))).toBe(7);
    expect(requestedTimeoutMs(new Headers({ "content-type": "application/grpc" }))).toBeNull();
    for (const [value, ms] of [
      ["1H", 3_600_000],
      ["1M", 60_000],
      ["3m", 3],
      ["500u", 0.5],
      ["1n", 1e-6],
    ] as const) {
      expect(
        requestedTimeoutMs(new Headers({ "grpc-timeout": value, "content-type": "application/grpc" })),
      ).toBeCloseTo(ms, 9);
    }
  });

  it("is not told to Connect, which would start a timer of its own", () => {
    const header = new Headers({ "grpc-timeout": "2S", "connect-timeout-ms": "7", accept: "x" });
    expect([...withoutTimeouts(header).keys()]).toEqual(["accept"]);
    expect([...header.keys()]).toHaveLength(3);
  });
});

describe.each(protocols)("over %s", (protocol) => {
  it("ends a call whose answer does not come", async () => {
    await using rig = await ConnectRig.start({ replaceAuthority: hanging, deadlines: short });
    const client = rig.client(TokenService, undefined, protocol);
    stopClock();
    for (const [call, ms] of [
      [() => client.authenticate({ key: "k" }), 40],
      [() => client.get({ id: "tok_00000000000000000000" }), 80],
    ] as const) {
      const ended = call().catch((error: unknown) => error);
      await expire(ms);
      expect(errorOf(await ended)).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
      expect(rig.calls.at(-1)).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
    }
    expect(rig.logged).toEqual([]);
  });

  it("ends a call whose request does not come, or stops half way", async () => {
    await using rig = await ConnectRig.start({ deadlines: short });
    for (const first of [Buffer.alloc(0), enveloped(Buffer.from("{}")).subarray(0, 3)]) {
      let released = false;
      const body: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]() {
          let sent = false;
          return {
            next() {
              if (!sent) {
                sent = true;
                return Promise.resolve({ done: false, value: first });
              }
              return new Promise(() => {});
            },
            return() {
              released = true;
              return new Promise(() => {});
            },
          };
        },
      };
      const request = { ...rawCall(protocol, "json", "/casapay.token.v1.TokenService/List", "{}"), body };
      const error = rawError(protocol, await rig.send(request));
      expect(errorOf(error)).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
      expect(released).toBe(true);
    }
  });

  it("answers nothing but that time is over to a caller that gives none, however quick the answer would be", async () => {
    await using rig = await ConnectRig.start();
    const none = protocol === "connect" ? { "connect-timeout-ms": "0" } : { "grpc-timeout": "0S" };
    for (const [rpc, message] of [
      ["Authenticate", '{"key": "no key"}'],
      ["Create", '{"account": "acct_1", "name": "n", "type": "TOKEN_TYPE_SECRET"}'],
    ] as const) {
      const request = rawCall(protocol, "json", `/casapay.token.v1.TokenService/${rpc}`, message, none);
      const error = rawError(protocol, await rig.send(request));
      expect(errorOf(error)).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
    }
    expect((await rig.client(TokenService).list({})).tokens).toEqual([]);
  });

  it("honours the caller's own timeout, and does not begin what is too late", async () => {
    let asked = 0;
    const replaceAuthority = (authority: TokenAuthority) => ({
      ...authority,
      list: () => {
        asked += 1;
        return new Promise<never>(() => {});
      },
    });
    await using rig = await ConnectRig.start({ replaceAuthority });
    const client = rig.client(TokenService, undefined, protocol);
    stopClock();
    const ended = client.list({}, { timeoutMs: 30 }).catch((error: unknown) => error);
    await eventually(() => asked === 1);
    await vi.advanceTimersByTimeAsync(30);
    expect(errorOf(await ended).code).toBe("DeadlineExceeded");
    const gone = AbortSignal.abort();
    const request = rawRequest({
      ...rawCall(protocol, "json", "/casapay.token.v1.TokenService/List", "{}"),
      signal: gone,
    });
    await rig.handle(request);
    expect(asked).toBe(1);
    expect(rig.calls.at(-1)).toMatchObject({ code: "CANCELLED" });
  });

  it("leaves no timer behind", async () => {
    await using rig = await ConnectRig.start();
    const set = vi.spyOn(globalThis, "setTimeout");
    const cleared = vi.spyOn(globalThis, "clearTimeout");
    const client = rig.client(TokenService, undefined, protocol);
    await client.list({});
    await client.authenticate({ key: "k" });
    await client.get({ id: "?" }).catch(() => {});
    await rig.send(
      rawCall(protocol, "json", "/casapay.token.v1.TokenService/List", "{", {
        "grpc-timeout": "1H",
        "connect-timeout-ms": "9999999999",
      }),
    );
    await rig.send({
      ...rawCall(protocol, "json", "/casapay.token.v1.TokenService/List", "{}"),
      peer: tlsPeer(null),
    });
    const timers = set.mock.results.map((result) => result.value);
    // The last call is refused at once, and waits for nothing.
    expect(timers).toHaveLength(4);
    const clearedTimers = cleared.mock.calls.map(([timer]) => timer);
    expect(timers.every((timer) => clearedTimers.includes(timer))).toBe(true);
    expect(set.mock.calls.map(([, ms]) => ms)).toEqual([10_000, 1000, 10_000, 60_000]);
  });
});

it("gives up the call of a client that is gone", async () => {
  const asked = Promise.withResolvers<void>();
  await using rig = await ConnectRig.start({
    replaceAuthority: (authority) => ({
      ...authority,
      list() {
        asked.resolve();
        return new Promise<never>(() => {});
      },
    }),
  });
  const leaving = new AbortController();
  const answering = rig.handle(
    rawRequest({ ...rawCall("grpc", "json", "/casapay.token.v1.TokenService/List", "{}"), signal: leaving.signal }),
  );
  await asked.promise;
  leaving.abort();
  const response = await answering;
  expect(new Headers(response.header).get("grpc-status")).toBe(String(Code.Canceled));
  expect(rig.calls).toHaveLength(1);
  expect(rig.calls[0]).toMatchObject({ code: "CANCELLED" });
});

it("logs what fails after the deadline has been answered", async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  await using rig = await ConnectRig.start({
    replaceAuthority: (authority) => ({ ...authority, list: () => promise }),
    deadlines: short,
  });
  await rig
    .client(TokenService)
    .list({})
    .catch(() => {});
  expect(rig.logged).toEqual([]);
  reject(new Error("late"));
  await eventually(() => rig.logged.length > 0);
  await turn();
  expect(rig.logged).toHaveLength(1);
});

function hanging(): TokenAuthority {
  const hang = () => new Promise<never>(() => {});
  return {
    create: hang,
    get: hang,
    list: hang,
    revoke: hang,
    revokeTokens: hang,
    rotateKey: hang,
    endRotation: hang,
    setHold: hang,
    closeAccount: hang,
    findByDigest: hang,
    listChanges: hang,
    listAccounts: hang,
    authenticate: hang,
    authenticateForCache: hang,
    watch: () => null,
    holders: () => {
      throw new Error("nobody asks");
    },
  };
}
