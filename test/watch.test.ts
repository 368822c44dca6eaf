import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { HolderKind, ResetReason, TokenService, WatchRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { digestKey } from "../src/authority/key.ts";
import { settleMs } from "../src/authority/lease.ts";
import { lengthPrefixed } from "../src/wire/protobuf/length-prefixed.ts";
import { AuthorityProcess, clientOf, temporaryDirectory } from "./support/authority-process.ts";
import { TestServer } from "./support/test-server.ts";
import { Watcher } from "./support/watcher.ts";

describe.each([1, 3])("with %i threads", (threads) => {
  const start = () => TestServer.start({ TOKEN_AUTHORITY_THREADS: String(threads) });

  it("watchers are told of revocations in the order of the journal, wherever they were asked for", async () => {
    await using authority = await start();
    const watchers = Array.from({ length: 6 }, () => new Watcher(authority.tokens));
    await Promise.all(watchers.map((one) => one.leased()));
    const issued = await Promise.all(Array.from({ length: 20 }, () => authority.issue()));
    const revoked = await Promise.all(issued.map(({ id }) => authority.tokens.revoke({ id })));
    const revisions = revoked.map(({ revision }) => Number(revision)).sort((one, other) => one - other);
    for (const watcher of watchers) {
      await watcher.told((event) => event.case === "forget" && Number(event.value.revision) === revisions.at(-1));
      expect(watcher.forgotten()).toEqual(revisions);
      expect(watcher.events.at(-1)).not.toBeUndefined();
      await watcher[Symbol.asyncDispose]();
    }
    expect(revoked.map(({ silent }) => silent)).toEqual(revoked.map(() => []));
  });

  it("a revocation is answered once all who hold a lease have acknowledged, and says how many", async () => {
    await using authority = await start();
    const watchers = Array.from({ length: 6 }, () => new Watcher(authority.tokens, { acknowledges: false }));
    await Promise.all(watchers.map((one) => one.leased()));
    const { id, key } = await authority.issue();
    let answer: Awaited<ReturnType<typeof authority.tokens.revoke>> | null = null;
    const revoking = authority.tokens.revoke({ id }).then((response) => {
      answer = response;
      return response;
    });
    const digest = Buffer.from(digestKey(key));
    for (const [index, watcher] of watchers.entries()) {
      const forget = await watcher.told((event) => event.case === "forget");
      expect(forget.value).toMatchObject({ tokenId: id, more: false });
      expect(forget.case === "forget" && Buffer.from(forget.value.what.value as Uint8Array).equals(digest)).toBe(true);
      // As long as one has not acknowledged.
      expect([index, answer]).toEqual([index, null]);
      watcher.renew();
    }
    expect(await revoking).toMatchObject({ silent: [], unconfirmed: [], acknowledgedCount: 6 });
    // Asked again, it has nothing to wait for.
    expect(await authority.tokens.revoke({ id })).toMatchObject({ silent: [], acknowledgedCount: 6 });
    await Promise.all(watchers.map((one) => one[Symbol.asyncDispose]()));
  });

  it("who does not acknowledge is waited out once, and named", async () => {
    await using authority = await start();
    const issued = await Promise.all([authority.issue(), authority.issue(), authority.issue()]);
    const [first, second, third] = issued.map(({ id }) => id) as [string, string, string];
    // The lease is granted after this.
    const heldUntilMs = performance.now() + 2000;
    await using silent = new Watcher(authority.tokens, { acknowledges: false });
    await using well = new Watcher(authority.tokens, { renews: true });
    await Promise.all([silent.leased(), well.leased()]);
    // All three are waited for together: the third is the first again.
    const answers = await Promise.all([
      authority.tokens.revoke({ id: first }),
      authority.tokens.revoke({ id: second }),
      authority.tokens.revoke({ id: first }),
    ]);
    expect(performance.now()).toBeGreaterThan(heldUntilMs);
    for (const answer of answers) {
      expect(answer.silent).toMatchObject([{ kind: HolderKind.GATEWAY, identity: "local" }]);
      expect(answer.acknowledgedCount).toBe(1);
    }
    const metrics = await metricsOf(authority, ["silent_holders_total", "changes_waited_out_total", "watchers"]);
    expect(metrics).toEqual([
      'token_authority_silent_holders_total{caller="local"} 1',
      "token_authority_changes_waited_out_total 3",
      "token_authority_watchers 2",
    ]);
    // It holds no lease any more. A change that meets the very moment at which the lease is waited out names it again.
    await expect
      .poll(async () => {
        const { silent: named, acknowledgedCount } = await authority.tokens.revoke({ id: third });
        return { named, acknowledgedCount };
      })
      .toEqual({ named: [], acknowledgedCount: 1 });
    // It is there again: what it acknowledges now counts.
    silent.renew();
    await silent.leased(4n);
  });
});

it("every change that takes away or gives back says who has acknowledged it, and who was waited out", async () => {
  await using authority = await TestServer.start();
  const { tokens } = authority;
  const issued = await Promise.all(Array.from({ length: 5 }, () => authority.issue()));
  const [revoked, rotated, ended, held, swept] = issued.map(({ id }) => id) as [string, string, string, string, string];
  await tokens.rotateKey({ id: ended, overlap: { seconds: 60n } });
  const { token } = await tokens.get({ id: swept });
  const filter = { keyHint: token?.keyHint ?? "" };
  const { upToRevision } = await tokens.revokeTokens({ filter });
  await using silent = new Watcher(tokens, { acknowledges: false });
  await using well = new Watcher(tokens, { renews: true });
  await Promise.all([silent.leased(), well.leased()]);
  // All are waited for together.
  const answers = await Promise.all([
    tokens.revoke({ id: revoked }),
    tokens.rotateKey({ id: rotated, requestId: randomUUID() }),
    tokens.endRotation({ id: ended, what: { case: "cutOldNow", value: true } }),
    tokens.setHold({ subject: { case: "tokenId", value: held }, held: true }),
    tokens.setHold({ subject: { case: "account", value: "acct_other" }, held: true }),
    tokens.closeAccount({ account: "acct_closed" }),
    tokens.revokeTokens({ filter, force: true, upToRevision }),
  ]);
  for (const answer of answers) {
    expect(answer, answer.$typeName).toMatchObject({
      acknowledgedCount: 1,
      silent: [{ kind: HolderKind.GATEWAY, identity: "local", sinceTime: expect.anything() }],
      unconfirmed: [],
    });
  }
});

it("a released lease is waited for by nobody, and one that was left behind until it is over", async () => {
  await using authority = await TestServer.start();
  const released = new Watcher(authority.tokens);
  await released.leased();
  released.release();
  expect(await released.end()).toBeNull();
  const { id } = await authority.issue();
  expect(await authority.tokens.revoke({ id })).toMatchObject({ silent: [], acknowledgedCount: 0 });

  const gone = new Watcher(authority.tokens);
  await gone.leased();
  gone.vanish();
  await gone.end();
  const other = await authority.issue();
  const { silent } = await authority.tokens.revoke({ id: other.id });
  expect(silent).toMatchObject([{ kind: HolderKind.GATEWAY, identity: "local" }]);
});

it("a creation does not wait, and is told to nobody", async () => {
  await using authority = await TestServer.start();
  await using watcher = new Watcher(authority.tokens, { acknowledges: false });
  await watcher.leased();
  const { revision } = await authority.issue();
  watcher.renew();
  await watcher.leased(revision);
  expect(watcher.forgotten()).toEqual([]);
});

it("a quiet authority renews leases too, and each lease names the request that it answers", async () => {
  await using authority = await TestServer.start();
  await using watcher = new Watcher(authority.tokens);
  for (let sequence = 1n; sequence <= 5n; sequence += 1n) {
    const lease = await watcher.told((event) => event.case === "lease" && event.value.sequence === sequence);
    expect(lease.value).toMatchObject({ duration: { seconds: 2n, nanos: 0 }, revision: 0n });
    watcher.renew();
  }
});

describe("a watcher that comes back", () => {
  it("is told of what it missed, each change once, over many streams", { timeout: 120_000 }, async () => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: "3" });
    const clients = [authority.tokens, authority.tokens, authority.tokens];
    const revoked: number[] = [];
    const told: number[] = [];
    let place: Watcher["place"] | undefined;
    for (let round = 0; round < 1000; round += 1) {
      const tokens = clients[round % 3] ?? authority.tokens;
      const watcher = new Watcher(tokens, place === undefined ? {} : { from: place });
      if (round % 5 === 0) {
        await watcher.leased();
        const { id } = await authority.issue();
        const { revision, silent } = await tokens.revoke({ id });
        expect(silent).toEqual([]);
        revoked.push(Number(revision));
      }
      await watcher.leased(BigInt(revoked.at(-1) ?? 0));
      told.push(...watcher.forgotten());
      place = watcher.place;
      watcher.release();
      expect(await watcher.end()).toBeNull();
      if (round % 5 === 2) {
        // While nobody watches.
        const { id } = await authority.issue();
        revoked.push(Number((await tokens.revoke({ id })).revision));
      }
    }
    expect(told).toEqual(revoked.slice(0, told.length));
    expect(told.length).toBeGreaterThanOrEqual(revoked.length - 1);
  });

  it("forgets everything where the authority has another history, or has it no more", async () => {
    await using authority = await TestServer.start();
    const { id, revision } = await authority.issue();
    await authority.tokens.revoke({ id });
    for (const from of [
      { appliedRevision: revision, appliedHash: new Uint8Array(32) },
      { appliedRevision: 1000n, appliedHash: new Uint8Array(32) },
    ]) {
      await using watcher = new Watcher(authority.tokens, { from });
      const { value } = await watcher.told(({ case: kind }) => kind === "reset");
      expect(value).toMatchObject({ reason: ResetReason.HISTORY_DIFFERS, revision: 2n });
      await watcher.leased(2n);
    }
  });
});

describe.each([
  ["the lane", createGrpcTransport],
  ["the general way", createGrpcWebTransport],
])("%s refuses", (_way, createTransport) => {
  const tokensOf = (authority: TestServer) =>
    createClient(
      TokenService,
      createTransport({ baseUrl: `http://${authority.server.address}`, httpVersion: "2" as const }),
    );
  const use = { digest: new Uint8Array(32), age: { seconds: 1n, nanos: 0 }, acceptedCount: 1n };

  it.each([
    ["a sequence that does not count", { sequence: 7n }, "sequence"],
    ["a revision that is none", { appliedRevision: -1n }, "applied_revision"],
    ["too many uses", { uses: Array.from({ length: 1001 }, () => use) }, "uses"],
    ["a use without a digest", { uses: [{ ...use, digest: new Uint8Array(31) }] }, "uses"],
    ["a use that is to come", { uses: [{ ...use, age: { seconds: -1n, nanos: 0 } }] }, "uses"],
  ])("%s", async (_, message, field) => {
    await using authority = await TestServer.start();
    await using watcher = new Watcher(tokensOf(authority));
    await watcher.leased();
    watcher.renew(message);
    expect(await watcher.end()).toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringMatching(new RegExp(`^${field} must`)),
    });
  });

  it("fields that it does not know", async () => {
    await using authority = await TestServer.start();
    await using watcher = new Watcher(tokensOf(authority));
    await watcher.leased();
    const message = create(WatchRequestSchema, { sequence: 2n });
    message.$unknown = [{ no: 99, wireType: WireType.Varint, data: Uint8Array.of(1) }];
    watcher.send(message);
    expect(await watcher.end()).toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining("99"),
    });
  });

  it("to resume without a hash", async () => {
    await using authority = await TestServer.start();
    await using watcher = new Watcher(tokensOf(authority), {
      from: { appliedRevision: 1n, appliedHash: new Uint8Array() },
    });
    expect(await watcher.end()).toMatchObject({ rawMessage: expect.stringMatching(/^applied_hash must/) });
  });
});

it("uses that are reported reach last_use_time, but not where the token was revoked before", {
  timeout: 20_000,
}, async () => {
  await using authority = await TestServer.start();
  const [used, revoked] = [await authority.issue(), await authority.issue()];
  await using watcher = new Watcher(authority.tokens);
  await watcher.leased();
  await authority.tokens.revoke({ id: revoked.id });
  authority.clock.nowMs += 10_000;
  const uses = [used, revoked].map(({ key }) => ({
    digest: digestKey(key),
    // A part of a millisecond, which the store has no room for.
    age: { seconds: 3n, nanos: 500_400_000 },
    acceptedCount: 7n,
  }));
  const usedAtMs = authority.clock.nowMs - 3500;
  watcher.renew({ uses });
  const lastUse = async () => (await authority.tokens.get({ id: used.id })).token?.lastUseTime;
  await expect.poll(lastUse).toEqual(timestampFromMs(usedAtMs));
  expect((await authority.tokens.get({ id: revoked.id })).token?.lastUseTime).toBeUndefined();
  expect(await metricsOf(authority, ["reported_uses_total"])).toEqual(["token_authority_reported_uses_total 14"]);
});

it("who takes nothing of what there is to tell is waited out, and has its place taken away", async () => {
  await using authority = await TestServer.start();
  // Before there is a lease, which a busy machine could spend on these.
  const issued = await Promise.all(Array.from({ length: 50 }, () => authority.issue()));
  const session = takeNothing(authority);
  watchOn(session, "application/grpc").write(firstRequest);
  await expect.poll(() => metricsOf(authority, ["leases_granted"])).toEqual(["token_authority_leases_granted_total 1"]);
  await using well = new Watcher(authority.tokens);
  await well.leased();
  const answers = await Promise.all(issued.map(({ id }) => authority.tokens.revoke({ id })));
  expect(answers.map(({ silent }) => silent.length)).toEqual(issued.map(() => 1));
  // It costs its own lease, and no other.
  well.renew();
  await well.leased(answers.at(-1)?.revision);
  // Its place is free while it still takes nothing.
  await expect.poll(() => metricsOf(authority, ["watchers"])).toEqual(["token_authority_watchers 0"]);
  expect((await well.end())?.code).toBe(Code.DeadlineExceeded);
  session.destroy();
});

// Its connection would be cut in time: the stop must be over before that.
it("a stop does not wait for who takes nothing of what there is to tell", { timeout: 20_000 }, async () => {
  await using authority = await TestServer.start({ TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "600000" });
  const session = takeNothing(authority);
  const closed = new Promise((resolve) => session.once("close", resolve));
  for (const contentType of ["application/grpc", "application/grpc-web+proto"]) {
    watchOn(session, contentType).write(firstRequest);
  }
  await expect.poll(() => metricsOf(authority, ["leases_granted"])).toEqual(["token_authority_leases_granted_total 2"]);
  await authority.stop();
  await closed;
});

it("a message that lacks its end counts in what connections hold, and goes with its stream", async () => {
  await using authority = await TestServer.start();
  const session = connectHttp2(`http://${authority.server.address}`);
  const whole = lengthPrefixed(Buffer.alloc(60_000));
  const streams = Array.from({ length: 4 }, () => watchOn(session, "application/grpc"));
  for (const stream of streams) {
    stream.write(whole.subarray(0, 50_000));
  }
  const held = async () => Number((await metricsOf(authority, ["held_bytes"]))[0]?.split(" ").at(-1));
  await expect.poll(held).toBeGreaterThanOrEqual(200_000);
  session.destroy();
  await expect.poll(held).toBeLessThan(50_000);
});

it("a stop ends streams, and says that another may be tried", async () => {
  await using authority = await TestServer.start();
  const watcher = new Watcher(authority.tokens);
  await watcher.leased();
  await authority.stop();
  expect((await watcher.end())?.code).toBe(Code.Unavailable);
});

describe("a start", () => {
  it("waits out the leases of a process that was killed, in revocations only", async () => {
    using directory = temporaryDirectory();
    const mark = join(directory.path, "data", "leases");
    await using first = new AuthorityProcess(directory.path);
    const tokens = clientOf(await first.address());
    const issued = await Promise.all([tokens.create(aKey), tokens.create(aKey)]);
    await tokens.revoke({ id: issued[0]?.token?.id ?? "" });
    expect(existsSync(mark)).toBe(false);
    await using watcher = new Watcher(tokens);
    await watcher.leased();
    expect(existsSync(mark)).toBe(true);
    first.child.kill("SIGKILL");
    await first.ended();

    const earliestMs = performance.now() + settleMs - 50;
    await using second = new AuthorityProcess(directory.path);
    const restarted = clientOf(await second.address());
    await restarted.create(aKey);
    const { silent } = await restarted.revoke({ id: issued[1]?.token?.id ?? "" });
    expect(performance.now()).toBeGreaterThan(earliestMs);
    expect(silent).toEqual([]);
    second.child.kill("SIGTERM");
    expect(await second.ended()).toBe(0);
    expect(existsSync(mark)).toBe(false);
  });
});

const firstRequest = lengthPrefixed(toBinary(WatchRequestSchema, create(WatchRequestSchema, { sequence: 1n })));

/** A connection on which no stream's window is ever open. */
function takeNothing(authority: TestServer): ClientHttp2Session {
  const session = connectHttp2(`http://${authority.server.address}`, { settings: { initialWindowSize: 0 } });
  return session.on("error", () => {});
}

/** A stream of Watch whose bytes the test writes. */
function watchOn(session: ClientHttp2Session, contentType: string): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": "/casapay.token.v1.TokenService/Watch",
    "content-type": contentType,
    te: "trailers",
  });
  return stream.on("error", () => {});
}

const aKey = { account: "acct_1", name: "a key", type: TokenType.SECRET };

/** The lines of these metrics. */
async function metricsOf(authority: TestServer, names: readonly string[]): Promise<readonly (string | undefined)[]> {
  const text = await (await fetch(`http://${authority.server.adminAddress}/metrics`)).text();
  return names.map((name) => text.split("\n").find((line) => line.startsWith(`token_authority_${name}`)));
}
