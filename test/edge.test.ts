import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { AuthenticateResponseSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { mintKey } from "../src/authority/key.ts";
import { envoyDoor, forwardAuthDoor } from "./gateway/doors.ts";
import { AuthorityProcess, temporaryDirectory } from "./support/authority-process.ts";
import { createAuthority } from "./support/certificates.ts";
import { EdgeProcess } from "./support/edge-process.ts";
import { eventually } from "./support/eventually.ts";
import { TestServer } from "./support/test-server.ts";
import { startTlsRig } from "./tls/tls-rig.ts";

const words = [["permission", "none"]] as const;

/** What the gateway answers at each of its doors. */
async function statusAtDoors(edge: EdgeProcess, key: string): Promise<readonly number[]> {
  const address = await edge.address();
  const asked = { words, headers: { authorization: `Bearer ${key}` } };
  const answers = await Promise.all([envoyDoor, forwardAuthDoor].map((door) => door.ask(address, asked)));
  return answers.map(({ status }) => status);
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "OK",
    (error) => Code[ConnectError.from(error).code] ?? "",
  );
}

describe.each([1, 2])("an edge with %i threads", (threads) => {
  const startEdge = (upstream: string) => new EdgeProcess(upstream, { TOKEN_AUTHORITY_THREADS: String(threads) });

  it("accepts a key at every door, and asks no more once it knows the key", async () => {
    await using authority = await TestServer.start();
    await using edge = startEdge(authority.server.address);
    await edge.leased(threads);
    const { key } = await authority.issue();
    // Each on a connection of its own, which comes to some thread. Two ask at once.
    for (let round = 0; round < 20; round += 1) {
      expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
    }
    const tokens = await edge.tokens();
    expect((await tokens.authenticate({ key })).outcome.case).toBe("principal");
    expect(await edge.metric("token_authority_edge_asked_total")).toBeLessThanOrEqual(2 * threads);
    expect(await edge.metric("token_authority_edge_hits_total")).toBeGreaterThanOrEqual(41 - 2 * threads);
    expect(await edge.metric("token_authority_edge_lease_seconds")).toBeGreaterThan(0);
    expect(await edge.metric("token_authority_edge_keys")).toBeLessThanOrEqual(threads);
    expect(await edge.isReady()).toBe(true);
  });

  it("refuses a key at every door from the answer to its revocation on", async () => {
    await using authority = await TestServer.start();
    await using edge = startEdge(authority.server.address);
    await edge.leased(threads);
    for (let round = 0; round < 10; round += 1) {
      const { id, key } = await authority.issue();
      for (let asked = 0; asked < 4; asked += 1) {
        expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
      }
      const { acknowledgedCount, silent } = await authority.tokens.revoke({ id });
      expect([acknowledgedCount, silent]).toEqual([threads, []]);
      for (let asked = 0; asked < 4; asked += 1) {
        expect(await statusAtDoors(edge, key)).toEqual([401, 401]);
      }
    }
  });

  it("is waited out when it is stopped, is named, and refuses once it goes on", async () => {
    await using authority = await TestServer.start();
    await using edge = startEdge(authority.server.address);
    await edge.leased(threads);
    const { id, key } = await authority.issue();
    expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
    edge.child.kill("SIGSTOP");
    const { acknowledgedCount, silent } = await authority.tokens.revoke({ id });
    // Both threads have the identity of the edge, which is named once.
    expect([acknowledgedCount, silent.map(({ identity }) => identity)]).toEqual([0, ["local"]]);
    const asking = statusAtDoors(edge, key);
    edge.child.kill("SIGCONT");
    expect(await asking).toEqual([401, 401]);
  });
});

it("decides as its authority does, whatever is asked of whatever key", async () => {
  await using authority = await TestServer.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const issued = [
    await authority.issue(),
    await authority.issue({ livemode: true }),
    await authority.issue({ type: TokenType.PUBLISHABLE }),
    await authority.issue({ type: TokenType.RESTRICTED, permissions: ["events:write", "refunds:read"] }),
    await authority.issue({ type: TokenType.RESTRICTED, permissions: ["events:read"], livemode: true }),
    await authority.issue({ expireTime: authority.inSeconds(3600) }),
  ];
  const [gone] = issued;
  await authority.tokens.revoke({ id: gone?.id ?? "" });
  const keys = [...issued.map(({ key }) => key), mintKey("secret", true), "sk_live_no", "", "ä".repeat(50)];
  const tokens = await edge.tokens();
  for (const key of keys) {
    for (const livemode of [undefined, true, false]) {
      for (const allowedTypes of [[], [TokenType.PUBLISHABLE], [TokenType.SECRET, TokenType.RESTRICTED]]) {
        for (const requiredPermissions of [[], ["events:read"], ["events:write", "refunds:write"], ["No"]]) {
          const asked = { key, allowedTypes, requiredPermissions, ...(livemode === undefined ? {} : { livemode }) };
          const [own, its] = await Promise.all(
            [tokens, authority.tokens].map((client) =>
              client.authenticate(asked).then(
                (response) => toJson(AuthenticateResponseSchema, response),
                (error) => ConnectError.from(error).message,
              ),
            ),
          );
          expect([asked, own]).toEqual([asked, its]);
        }
      }
    }
  }
  // Of the ten only the keys' forms are known without the authority.
  expect(await edge.metric("token_authority_edge_asked_total")).toBe(7);
});

it("asks its authority once about a key that many ask about at the same time", async () => {
  await using authority = await TestServer.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const { key } = await authority.issue();
  const tokens = await edge.tokens();
  await tokens.authenticate({ key: mintKey("secret", true) });
  const answers = await Promise.all(Array.from({ length: 50 }, () => tokens.authenticate({ key })));
  expect(answers.filter(({ outcome }) => outcome.case === "principal")).toHaveLength(50);
  expect(await edge.metric("token_authority_edge_asked_total")).toBe(2);
});

it("a hold is kept like a revocation, and given back like it", async () => {
  await using authority = await TestServer.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const { id, key } = await authority.issue();
  const subjects = [
    { case: "tokenId", value: id },
    { case: "account", value: "acct_1" },
  ] as const;
  for (const subject of subjects) {
    expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
    await authority.tokens.setHold({ subject, held: true });
    expect(await statusAtDoors(edge, key)).toEqual([403, 403]);
    await authority.tokens.setHold({ subject, held: false });
  }
  expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
});

it("a key ends by the authority's clock, also where the edge keeps it", async () => {
  await using authority = new TestServer();
  // Two hours behind the edge's.
  authority.clock.nowMs -= 7_200_000;
  await authority.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const { key } = await authority.issue({ expireTime: timestampFromMs(authority.clock.nowMs + 3_600_000) });
  expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
  expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
  const soon = await authority.issue({ expireTime: timestampFromMs(authority.clock.nowMs + 1_000) });
  expect(await statusAtDoors(edge, soon.key)).toEqual([200, 200]);
  authority.clock.nowMs += 1_000;
  while ((await statusAtDoors(edge, soon.key)).includes(200)) {
    // For a second of its own the edge keeps it.
  }
  expect(await statusAtDoors(edge, soon.key)).toEqual([401, 401]);
});

it("an outage of its authority is never a bad key, and is over with it", { timeout: 120_000 }, async () => {
  using directory = temporaryDirectory();
  const socket = `unix:${join(directory.path, "a.sock")}`;
  const settings = { TOKEN_AUTHORITY_LISTEN: socket };
  await using edge = new EdgeProcess(socket);
  // Before the authority is there.
  expect(await statusAtDoors(edge, mintKey("secret", true))).toEqual([503, 503]);
  expect(await statusAtDoors(edge, "sk_live_no")).toEqual([401, 401]);
  expect(await edge.isReady()).toBe(false);
  expect(await codeOf((await edge.tokens()).authenticate({ key: mintKey("secret", true) }))).toBe("Unavailable");
  {
    await using authority = new AuthorityProcess(directory.path, [], settings);
    await authority.address();
    await edge.leased();
    expect(await edge.isReady()).toBe(true);
    expect(await statusAtDoors(edge, mintKey("secret", true))).toEqual([401, 401]);
    // kill -9.
  }
  await edge.logged(/no lease:/);
  expect(await statusAtDoors(edge, mintKey("secret", true))).toEqual([503, 503]);
  expect(await edge.isReady()).toBe(false);
  expect(edge.stdout).not.toMatch(/[srp]k_(live|test)_[0-9A-Za-z]{38}/);
});

it("an edge that ends keeps no revocation waiting", async () => {
  await using authority = await TestServer.start();
  const edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const { id } = await authority.issue();
  edge.child.kill("SIGTERM");
  expect(await edge.ended()).toBe(0);
  expect(await authority.tokens.revoke({ id })).toMatchObject({ silent: [], acknowledgedCount: 0 });
});

// The lease may be over before a revocation can tell on a busy machine: only an authority hears that it is given back.
it("an edge that ends gives its lease back", async () => {
  const gaveBack = Promise.withResolvers<boolean>();
  const listener = createServer(
    connectNodeAdapter({
      routes: ({ service }) =>
        service(TokenService, {
          async *watch(requests) {
            try {
              for await (const { sequence, release } of requests) {
                if (release) {
                  gaveBack.resolve(true);
                  return;
                }
                const lease = { sequence, duration: { seconds: 2n }, revision: 1n, hash: new Uint8Array(32) };
                yield { event: { case: "lease", value: lease } };
              }
            } finally {
              gaveBack.resolve(false);
            }
          },
        }),
    }),
  ).listen(0, "127.0.0.1");
  await once(listener, "listening");
  await using edge = new EdgeProcess(`127.0.0.1:${(listener.address() as AddressInfo).port}`);
  await edge.leased();
  edge.child.kill("SIGTERM");
  expect(await gaveBack.promise).toBe(true);
  expect(await edge.ended()).toBe(0);
  listener.close();
});

it("uses that an edge has accepted are told to its authority", async () => {
  await using authority = await TestServer.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const { id, key } = await authority.issue();
  expect(await statusAtDoors(edge, key)).toEqual([200, 200]);
  let isUsed = false;
  const look = setInterval(() => {
    void authority.tokens.get({ id }).then(({ token }) => {
      isUsed = token?.lastUseTime !== undefined;
    });
  }, 100);
  await eventually(() => isUsed);
  clearInterval(look);
});

it("has no other RPC, and says whom to call", async () => {
  await using authority = await TestServer.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const tokens = await edge.tokens();
  const { id } = await authority.issue();
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    get: () => tokens.get({ id }),
    list: () => tokens.list({}),
    revoke: () => tokens.revoke({ id }),
    listChanges: () => tokens.listChanges({}),
    listAccounts: () => tokens.listAccounts({}),
    create: () => tokens.create({ account: "acct_1", name: "a key", type: TokenType.SECRET }),
    watch: () => Array.fromAsync(tokens.watch((async function* () {})())),
  };
  for (const [name, call] of Object.entries(calls)) {
    const error = await call().then(
      () => null,
      (thrown) => ConnectError.from(thrown),
    );
    expect([name, error?.code, error?.rawMessage]).toEqual([
      name,
      Code.Unimplemented,
      "an edge decides on keys and does nothing else: call the authority that it asks",
    ]);
  }
  const health = createClient(Health, createGrpcTransport({ baseUrl: `http://${await edge.address()}` }));
  expect((await health.check({})).status).toBe(Status.SERVING);
});

it("asks its authority for whoever knows of a revision", async () => {
  await using authority = await TestServer.start();
  await using edge = new EdgeProcess(authority.server.address);
  await edge.leased();
  const { key, revision } = await authority.issue();
  const tokens = await edge.tokens();
  const answer = await tokens.authenticate({ key, cacheRules: 1, minRevision: revision });
  expect([answer.outcome.case, answer.revision, answer.cacheFor]).toEqual(["principal", revision, undefined]);
  expect(await codeOf(tokens.authenticate({ key, minRevision: revision + 1n }))).toBe("Unavailable");
});

it("serves on a unix socket beside its gateway", async () => {
  using directory = temporaryDirectory();
  await using authority = await TestServer.start();
  const path = join(directory.path, "edge.sock");
  await using edge = new EdgeProcess(authority.server.address, { TOKEN_AUTHORITY_LISTEN: `unix:${path}` });
  await edge.leased();
  const { key } = await authority.issue();
  const asked = { words, headers: { authorization: `Bearer ${key}` } };
  expect((await envoyDoor.ask(`unix:${path}`, asked)).status).toBe(200);
});

it("says when the certificate ends that it shows its authority, as its file has it", async () => {
  using directory = temporaryDirectory();
  const root = createAuthority();
  const path = (name: string) => join(directory.path, name);
  const put = (validToMs: number) => {
    const { certificatePem, keyPem } = root.issue({ validToMs });
    writeFileSync(path("cert.pem"), certificatePem);
    writeFileSync(path("key.pem"), keyPem, { mode: 0o600 });
  };
  writeFileSync(path("ca.pem"), root.certificatePem);
  put(2_000_000_000_000);
  await using edge = new EdgeProcess("localhost:1", {
    TOKEN_AUTHORITY_UPSTREAM_CA: path("ca.pem"),
    TOKEN_AUTHORITY_UPSTREAM_CERT: path("cert.pem"),
    TOKEN_AUTHORITY_UPSTREAM_KEY: path("key.pem"),
  });
  const end = () => edge.metric("token_authority_edge_certificate_expiry_timestamp_seconds");
  expect(await end()).toBe(2_000_000_000);
  put(2_100_000_000_000);
  await expect.poll(end).toBe(2_100_000_000);
  rmSync(path("cert.pem"));
  await expect.poll(end).toBe(0);
});

it("says why it gets no lease, though nobody asks it about a key", async () => {
  await using rig = await startTlsRig();
  using directory = temporaryDirectory();
  const stranger = createAuthority("stranger");
  const { certificatePem, keyPem } = rig.clientAuthority.issue({ names: [{ uri: "spiffe://casapay/gateway" }] });
  const files = { CA: stranger.certificatePem, CERT: certificatePem, KEY: keyPem };
  const settings = Object.entries(files).map(([name, pem]) => {
    const path = join(directory.path, `${name}.pem`);
    writeFileSync(path, pem, { mode: 0o600 });
    return [`TOKEN_AUTHORITY_UPSTREAM_${name}`, path];
  });
  await using untrusting = new EdgeProcess(`localhost:${rig.http.port}`, Object.fromEntries(settings));
  await using alone = new EdgeProcess("127.0.0.1:1");
  await alone.logged(/"error":"UNAVAILABLE: [^"]*ECONNREFUSED[^"]*","msg":"no lease yet: /);
  await untrusting.logged(/"error":"UNAVAILABLE: [^"]*certificate[^"]*","msg":"no lease yet: /);
  expect(await untrusting.isReady()).toBe(false);
});

it("says at its start what of its settings cannot be used", async () => {
  const missing = Object.fromEntries(["CA", "CERT", "KEY"].map((name) => [`TOKEN_AUTHORITY_UPSTREAM_${name}`, "/no"]));
  await using edge = new EdgeProcess("localhost:50051", missing);
  expect(await edge.ended()).toBe(2);
  expect(edge.stderr).toMatch(/^TOKEN_AUTHORITY_UPSTREAM and its three files cannot be used: ENOENT[^\n]*\n$/);
});

it("has nothing on disk to make anew", async () => {
  await using edge = new AuthorityProcess("/", ["--init"], { TOKEN_AUTHORITY_UPSTREAM: "127.0.0.1:1" });
  expect(await edge.ended()).toBe(2);
  expect(edge.stderr).toMatch(/^an edge has nothing on disk/);
});
