import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Call, fail } from "../../src/calls/call.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { type CallKind, createRunCall } from "../../src/calls/run-call.ts";
import { internalError, type Status, statusOf } from "../../src/calls/status.ts";
import { peerOf } from "../connect/connect-rig.ts";

const refusal = statusOf("ROLE_NOT_ALLOWED", "not you");
const overload = statusOf("UNDECIDED", "not now");

/** What came: nothing but a client, who may go. */
type Ask = { readonly client: AbortController };

/** One kind of call, whose answer is a text: the body's, or `code reason` of its failure. */
function createRig(respond: (call: Call) => string | null | Promise<string | null>, kind: Partial<Kind> = {}) {
  const ended: FinishedCall[] = [];
  const thrown: unknown[] = [];
  const client = new AbortController();
  const { run } = createRunCall<Ask, string, string>({
    rpc: "test.Service/Ask",
    admit(call) {
      call.identity = call.peer.identity;
      call.role = "operator";
      return null;
    },
    respond: (_, call) => respond(call),
    statusOf(error) {
      thrown.push(error);
      return internalError;
    },
    succeed: (body) => body,
    fail: ({ code, reason }: Status) => `${code} ${reason}`,
    waitMs: () => 1000,
    isGone: (ask) => ask.client.signal.aborted,
    onCall: (call) => ended.push(call),
    ...kind,
  });
  return { ended, thrown, client, run: () => run({ client }, peerOf("operator"), "grpc", null) };
}

type Kind = CallKind<Ask, string, string>;

describe("a call whose answer is there at once", () => {
  it("is answered at once, and has ended then", () => {
    const rig = createRig((call) => {
      call.tokenId = "tok_1";
      return "yes";
    });
    expect(rig.run()).toBe("yes");
    expect(rig.ended).toMatchObject([
      { rpc: "test.Service/Ask", code: "OK", caller: "spiffe://casapay/operator", role: "operator", tokenId: "tok_1" },
    ]);
  });

  it("is not answered to a peer that may not make it, and nothing of it is looked at", () => {
    let asked = 0;
    const rig = createRig(
      () => {
        asked += 1;
        return "yes";
      },
      { admit: () => refusal },
    );
    expect(rig.run()).toBe("PERMISSION_DENIED ROLE_NOT_ALLOWED");
    expect(rig.ended).toMatchObject([{ code: "PERMISSION_DENIED", reason: "ROLE_NOT_ALLOWED", error: "not you" }]);
    expect(asked).toBe(0);
  });

  it("fails with what it noted, or with what it threw", () => {
    const noting = createRig((call) => fail(call, overload));
    expect(noting.run()).toBe("UNAVAILABLE UNDECIDED");
    expect(noting.ended).toMatchObject([{ code: "UNAVAILABLE", reason: "UNDECIDED" }]);
    const throwing = createRig(() => {
      throw new Error("a fault");
    });
    expect(throwing.run()).toBe("INTERNAL null");
    expect([throwing.ended.length, throwing.thrown.length]).toEqual([1, 1]);
  });
});

describe("a call whose answer comes later", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it("ends once, when the answer is there", async () => {
    const rig = createRig(async () => "yes");
    const answer = rig.run();
    expect(rig.ended).toEqual([]);
    expect(await answer).toBe("yes");
    expect(rig.ended).toMatchObject([{ code: "OK" }]);
  });

  it("ends at its deadline, and the log hears of a fault that comes after it", async () => {
    const { promise, reject } = Promise.withResolvers<string>();
    const rig = createRig(() => promise);
    const answer = rig.run();
    await vi.advanceTimersByTimeAsync(1000);
    expect(await answer).toBe("DEADLINE_EXCEEDED DEADLINE_EXCEEDED");
    const fault = new Error("the disk");
    reject(fault);
    await new Promise(setImmediate);
    expect(rig.thrown).toEqual([fault]);
    expect(rig.ended).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
  });

  it("is canceled when its client has gone, and what was done is told; not the refusal that nobody heard", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const rig = createRig(async (call) => {
      const body = await promise;
      Object.assign(call, { tokenId: "tok_1", revision: 7, refusal: "KEY_UNKNOWN" });
      return body;
    });
    const answer = rig.run();
    rig.client.abort();
    resolve("yes");
    expect(await answer).toBe("CANCELLED CALL_CANCELED");
    expect(rig.ended).toMatchObject([{ code: "CANCELLED", tokenId: "tok_1", revision: 7, refusal: null }]);
  });

  it("is given up as soon as its client goes, where the door hears of that", async () => {
    const givenUp: Status[] = [];
    const rig = createRig(() => new Promise<string>(() => {}), {
      gone: ({ client }) => client.signal,
      giveUp: (status) => givenUp.push(status),
    });
    const answer = rig.run();
    rig.client.abort();
    expect(await answer).toBe("CANCELLED CALL_CANCELED");
    expect(givenUp).toMatchObject([{ reason: "CALL_CANCELED" }]);
    expect(rig.ended).toHaveLength(1);
  });
});

describe("a call whose answer lasts", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  function createLasting() {
    let finish = () => {};
    const givenUp: Status[] = [];
    const rig = createRig(async () => "begun", {
      gone: ({ client }) => client.signal,
      giveUp: (status) => givenUp.push(status),
      rest: () => (listener) => {
        finish = listener;
      },
    });
    return { rig, givenUp, finish: () => finish() };
  }

  it("ends once, with its rest", async () => {
    const { rig, finish } = createLasting();
    expect(await rig.run()).toBe("begun");
    expect(rig.ended).toEqual([]);
    finish();
    finish();
    expect(rig.ended).toMatchObject([{ code: "OK" }]);
  });

  it("ends at its deadline", async () => {
    const { rig, givenUp, finish } = createLasting();
    await rig.run();
    await vi.advanceTimersByTimeAsync(1000);
    finish();
    expect(rig.ended).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
    expect(givenUp).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
  });

  it("ends when its client goes", async () => {
    const { rig, givenUp } = createLasting();
    await rig.run();
    rig.client.abort();
    expect(rig.ended).toMatchObject([{ code: "CANCELLED" }]);
    expect(givenUp).toHaveLength(1);
  });
});
