import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { createTimeSeen } from "../src/authority/clock.ts";
import type { Config } from "../src/config.ts";
import { StartError } from "../src/machine/start-error.ts";
import type { ServingStoreSeed } from "../src/stores/sqlite/serving/serving-store.ts";
import { startRemoteThread, threadConfig } from "../src/thread.ts";
import { openStore, quietLog } from "./sqlite/store-rig.ts";
import { TestServer } from "./support/test-server.ts";

async function admin(authority: TestServer, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://${authority.server.adminAddress}${path}`);
  return { status: response.status, text: await response.text() };
}

describe("a restart", () => {
  it("keeps every token, every revocation and the last uses", async () => {
    await using authority = await TestServer.start();
    const kept = await authority.issue();
    const revoked = await authority.issue();
    await authority.tokens.revoke({ id: revoked.id, reason: "lost" });
    expect(await authority.verdictOf(kept.key)).toBe("principal");

    await authority.stop();
    await authority.start();
    expect(await authority.verdictOf(kept.key)).toBe("principal");
    expect(await authority.verdictOf(revoked.key)).toBe("TOKEN_REVOKED");
    const { token } = await authority.tokens.get({ id: kept.id });
    expect(token?.lastUseTime).toEqual(authority.inSeconds(0));
  });

  it("answers a Create that is sent again with the same key, as long as the sealing secret is the same", async () => {
    await using authority = new TestServer();
    const file = join(authority.directory, "secret");
    writeFileSync(file, randomBytes(32), { mode: 0o600 });
    await authority.start({ TOKEN_AUTHORITY_SEALING_SECRET: file });
    const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";
    const first = await authority.issue({ requestId });

    await authority.stop();
    await authority.start({ TOKEN_AUTHORITY_SEALING_SECRET: file });
    expect((await authority.issue({ requestId })).key).toBe(first.key);

    await authority.stop();
    writeFileSync(file, randomBytes(32), { mode: 0o600 });
    await authority.start({ TOKEN_AUTHORITY_SEALING_SECRET: file });
    const error = await authority.issue({ requestId }).then(() => null, ConnectError.from);
    expect(error?.code).toBe(Code.FailedPrecondition);
    expect(await authority.verdictOf(first.key)).toBe("principal");
  });

  it("with a clock more than 5 minutes before the newest change is refused, and says how to allow it", async () => {
    await using authority = await TestServer.start();
    await authority.issue();
    await authority.stop();
    authority.clock.nowMs -= 5 * 60 * 1000 + 1;
    await expect(authority.start()).rejects.toThrow(/clock is 300 s before .* TOKEN_AUTHORITY_CLOCK_BACK=allow/);
    await authority.start({ TOKEN_AUTHORITY_CLOCK_BACK: "allow" });
    const { token } = await authority.issue();
    expect(token?.createTime).toEqual(authority.inSeconds(0));
  });

  it("with a clock before the greatest time seen accepts no key that has expired, and is refused when it is far before", async () => {
    await using authority = await TestServer.start();
    const { key } = await authority.issue({ expireTime: authority.inSeconds(3600) });
    const issuedMs = authority.clock.nowMs;
    authority.clock.nowMs += 3600_000;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
    await authority.stop();
    authority.clock.nowMs -= 60_000;
    await authority.start();
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
    await authority.stop();
    authority.clock.nowMs = issuedMs;
    await expect(authority.start()).rejects.toThrow(
      /clock is 3600 s before the greatest time that was seen before, .* TOKEN_AUTHORITY_CLOCK_BACK=allow/,
    );
    await authority.start({ TOKEN_AUTHORITY_CLOCK_BACK: "allow" });
    expect(await authority.verdictOf(key)).toBe("principal");
    await authority.stop();
    await authority.start();
  });

  it("with a clock a little back goes on at the time of the newest change", async () => {
    await using authority = await TestServer.start();
    await authority.issue();
    const newest = authority.inSeconds(0);
    await authority.stop();
    authority.clock.nowMs -= 60_000;
    await authority.start();
    expect((await authority.issue()).token?.createTime).toEqual(newest);
    expect((await admin(authority, "/metrics")).text).toContain("token_authority_clock_behind_seconds 60\n");
  });

  it("while the first process still runs is refused", async () => {
    await using authority = await TestServer.start();
    await using second = new TestServer();
    await expect(second.start({ TOKEN_AUTHORITY_DATA_DIR: join(authority.directory, "data") })).rejects.toThrow(
      /another process/,
    );
    expect(await authority.verdictOf((await authority.issue()).key)).toBe("principal");
  });
});

describe("a second authority on the same port", () => {
  it.each([1, 2])("is refused, with %i threads, and leaves no data behind", async (threads) => {
    const settings = { TOKEN_AUTHORITY_THREADS: String(threads) };
    await using authority = await TestServer.start(settings);
    await using second = new TestServer();
    const taken = { ...settings, TOKEN_AUTHORITY_LISTEN: authority.server.address };
    await expect(second.start(taken)).rejects.toThrow(/^TOKEN_AUTHORITY_LISTEN: .*another program listens there/);
    expect(existsSync(join(second.directory, "data"))).toBe(false);
    await authority.stop();
    await second.start(taken);
    expect(await second.verdictOf((await second.issue()).key)).toBe("principal");
  });
});

describe("the first start without a sealing secret", () => {
  it("makes one beside the data, for the owner's eyes only", async () => {
    await using authority = await TestServer.start();
    const file = join(authority.directory, "data.sealing-secret");
    expect(statSync(file).size).toBe(32);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("warns and refuses request ids where none can be made", async () => {
    await using authority = new TestServer();
    // As long as a name may be, but for what the marker's has behind it.
    const name = "d".repeat(255 - ".marker".length);
    await authority.start({ TOKEN_AUTHORITY_DATA_DIR: join(authority.directory, name) });
    expect(authority.logged).toContainEqual(
      expect.objectContaining({ level: "warn", message: expect.stringContaining("TOKEN_AUTHORITY_SEALING_SECRET") }),
    );
    const error = await authority.issue({ requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52" }).catch(ConnectError.from);
    expect(error).toMatchObject({ code: Code.FailedPrecondition });
    expect(await authority.verdictOf((await authority.issue()).key)).toBe("principal");
  });
});

describe("the admin port", () => {
  it("tells that it lives, that it is ready, and what it measured", async () => {
    await using authority = await TestServer.start();
    const { key } = await authority.issue();
    await authority.verdictOf(key);
    await authority.verdictOf("no key");
    expect(await admin(authority, "/livez")).toEqual({ status: 200, text: "alive\n" });
    expect(await admin(authority, "/readyz")).toEqual({ status: 200, text: "ready\n" });
    const { text } = await admin(authority, "/metrics");
    expect(text).toContain(
      'rpc_server_call_duration_seconds_count{rpc_system_name="grpc",rpc_method="casapay.token.v1.TokenService/Authenticate",rpc_response_status_code="OK"} 2\n',
    );
    expect(text).toContain('token_authority_refusals_total{reason="KEY_MALFORMED"} 1\n');
    expect(text).toContain("token_authority_journal_revision 1\n");
    expect(text).toContain("token_authority_serving 1\n");
    expect(text).toMatch(/token_authority_reserve_bytes [1-9]/);
  });

  it("names what it counts since its start as Prometheus does, and nothing else", async () => {
    await using authority = await TestServer.start();
    const { text } = await admin(authority, "/metrics");
    const metrics = [...text.matchAll(/^# HELP (token_authority_\w+) (.*)\n# TYPE \S+ (\w+)$/gm)];
    expect(metrics.length).toBeGreaterThan(20);
    const [totals, counters, sinceStart] = [
      metrics.filter(([, name]) => name?.endsWith("_total")),
      metrics.filter(([, , , type]) => type === "counter"),
      metrics.filter(([, , help, type]) => type === "counter" || help?.includes("since the start")),
    ].map((found) => found.map(([, name]) => name));
    expect({ totals, sinceStart }).toEqual({ totals: counters, sinceStart: counters });
  });

  it("serves nothing else", async () => {
    await using authority = await TestServer.start();
    expect((await admin(authority, "/")).status).toBe(404);
    const url = `http://${authority.server.adminAddress}/metrics`;
    expect((await fetch(url, { method: "POST", body: "x" })).status).toBe(405);
  });
});

describe("logs", () => {
  it("says that there is nothing to read again where only plaintext is served", async () => {
    await using authority = await TestServer.start();
    authority.server.reload();
    expect(authority.logged.at(-1)?.message).toMatch(/^there are no certificates and callers to read again/);
  });

  it("have one line for a change and one for its call, and none for an accepted key", async () => {
    await using authority = await TestServer.start();
    const { key, id } = await authority.issue();
    const before = authority.logged.length;
    await authority.verdictOf(key);
    expect(authority.logged.length).toBe(before);
    expect(authority.logged.at(-2)).toMatchObject({
      message: "changed",
      fields: {
        action: "create",
        caller: "local",
        token_id: id,
        revision: 1,
        hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    });
    expect(authority.logged.at(-1)).toMatchObject({
      message: "call",
      fields: {
        rpc: "casapay.token.v1.TokenService/Create",
        caller: "local",
        role: "operator",
        code: "OK",
        token_id: id,
        revision: 1,
      },
    });
  });

  it("sample refusals that had no request id: one line of several", async () => {
    await using authority = await TestServer.start();
    const refusals = () => authority.logged.filter(({ message }) => message === "key refused");
    for (let round = 0; round < 5; round += 1) {
      await authority.verdictOf("no key");
    }
    expect(refusals()).toHaveLength(1);
  });
});

describe("the end", () => {
  it("turns health to NOT_SERVING for those who watch it", async () => {
    await using authority = await TestServer.start();
    const transport = createGrpcTransport({ baseUrl: `http://${authority.server.address}` });
    const statuses: Status[] = [];
    let stopping: Promise<void> | null = null;
    for await (const { status } of createClient(Health, transport).watch({})) {
      statuses.push(status);
      if (status === Status.SERVING) {
        stopping = authority.stop();
      }
    }
    await stopping;
    expect(statuses).toEqual([Status.SERVING, Status.NOT_SERVING]);
  });

  it.each([1, 2])("logs calls that are cut after the grace, with %i threads", async (threads) => {
    const settings = { TOKEN_AUTHORITY_THREADS: String(threads), TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "50" };
    await using authority = await TestServer.start(settings);
    for (let at = 0; at < 12; at += 1) {
      const client = connect(`http://${authority.server.address}`);
      client.on("error", () => {});
      await once(client, "connect");
      const path = "/casapay.token.v1.TokenService/List";
      const request = client.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
      request.on("error", () => {}).write(Buffer.from([0]));
      // An answer to this means that the request has been taken.
      await new Promise((resolve) => client.ping(resolve));
    }
    await authority.stop();
    const cut = authority.logged.filter(({ message }) => message === "call");
    expect(cut.map(({ fields }) => ("code" in fields ? fields.code : null))).toEqual(Array(12).fill("CANCELLED"));
  });

  it("lets calls under way end", async () => {
    await using authority = await TestServer.start();
    const { id } = await authority.issue();
    const tokens = authority.tokens;
    await tokens.get({ id });
    const creating = Array.from({ length: 64 }, (_, at) =>
      tokens.create({ account: "acct_1", name: `key ${at}`, type: TokenType.SECRET }),
    );
    // On one connection: once this is answered, all of the above have been received.
    await tokens.get({ id });
    await authority.stop();
    const created = await Promise.all(creating);
    await authority.start();
    for (const { key } of created) {
      expect(await authority.verdictOf(key)).toBe("principal");
    }
  });
});

describe("one more serving thread", () => {
  async function start(authority: TestServer, settings: Readonly<Record<string, string>>) {
    const config = authority.config(settings);
    const store = await openStore(config.store.directory);
    return startWith(authority, config, store.seed());
  }

  async function startWith(authority: TestServer, config: Config, store: ServingStoreSeed) {
    const seed = {
      config: threadConfig(config, { rpc: config.rpc.listen, rest: null }, 1),
      source: { store },
      timeSeen: createTimeSeen(0),
      sealingSecret: null,
      tls: { rpc: null, rest: null },
    };
    const thread = await startRemoteThread(seed, quietLog);
    void thread.failed.then((error) => authority.failures.push(error));
    return thread;
  }

  it("that a person can mend is refused with a StartError", async () => {
    await using authority = new TestServer();
    // Something is there that is no socket.
    await expect(start(authority, { TOKEN_AUTHORITY_LISTEN: `unix:${authority.directory}` })).rejects.toBeInstanceOf(
      StartError,
    );
    expect(authority.failures).toEqual([]);
  });

  it("that dies is told of, once, so that the process ends", async () => {
    await using authority = new TestServer();
    const config = authority.config();
    const store = await openStore(config.store.directory);
    const { port1, port2 } = new MessageChannel();
    const thread = await startWith(authority, config, { ...store.seed(), port: port2 });
    // No writer says this: whatever a bug throws in a thread ends it alike.
    port1.postMessage(null);
    await expect.poll(() => authority.failures.length).toBe(1);
    expect(authority.failures[0]).toBeInstanceOf(TypeError);
    expect(await thread.readings()).toBeNull();
    port1.close();
  });

  it("has no readings once it ends, also for those who wait for them", async () => {
    await using authority = new TestServer();
    const thread = await start(authority, {});
    expect(await thread.readings()).toMatchObject({ clockBehindMs: 0 });
    const asked = thread.readings();
    const ended = thread[Symbol.asyncDispose]();
    expect(await asked).toBeNull();
    await ended;
    expect(await thread.readings()).toBeNull();
    expect(authority.failures).toEqual([]);
  });
});

describe("an address", () => {
  it("of this machine in IPv6's way to write IPv4's is served like the other", async () => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_LISTEN: "[::ffff:127.0.0.1]:0" });
    expect(authority.server.address).toMatch(/^\[::ffff:127\.0\.0\.1\]:\d+$/);
    // node:http2 as a client leaves the brackets away.
    const response = await fetch(`http://${authority.server.address}/casapay.token.v1.TokenService/Authenticate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"key": "x"}',
    });
    expect(await response.json()).toMatchObject({ refusal: { reason: "REFUSAL_REASON_KEY_MALFORMED" } });
  });
});

describe("a call with more metadata than is taken", () => {
  it("is RESOURCE_EXHAUSTED over gRPC and 431 over anything else, and its connection goes on", async () => {
    await using authority = await TestServer.start();
    const metadata = Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`x-${at}`, "v".repeat(4_000)]));
    const failed = await authority.tokens
      .get({ id: "tok_1" }, { headers: metadata })
      .then(() => null, ConnectError.from);
    expect(failed?.code).toBe(Code.ResourceExhausted);
    expect(failed?.rawMessage).toMatch(/metadata is longer than 16384 bytes/);

    const session = connect(`http://${authority.server.address}`);
    const statusOf = async (headers: Record<string, string>) => {
      const stream = session.request({ ":path": "/", ...headers });
      const [{ ":status": status, "grpc-status": grpcStatus }] = await once(stream, "response");
      return [status, grpcStatus];
    };
    expect(await statusOf(metadata)).toEqual([431, undefined]);
    expect(await statusOf({ "content-type": "application/grpc-web+proto", ...metadata })).toEqual([200, "8"]);
    expect(await statusOf({})).toEqual([404, undefined]);
    session.destroy();
  });
});
