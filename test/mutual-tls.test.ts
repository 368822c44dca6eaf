import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { create as createMessage, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { CreateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { mintKey } from "../src/authority/key.ts";
import { createAuthority, type GeneralName, type TestCertificate } from "./support/certificates.ts";
import { TestServer } from "./support/test-server.ts";
import { Watcher } from "./support/watcher.ts";

const root = createAuthority();
const strangers = createAuthority("another root");
const callers = {
  "spiffe://casapay/gateway": "gateway",
  "spiffe://casapay/service": "service",
  "dashboard.casapay.internal": "dashboard",
  "spiffe://casapay/operator": "operator",
};

/** The whole authority behind TLS, with its files where a test may change them. */
class TlsServer extends TestServer {
  static async startTls(more: Readonly<Record<string, string>> = {}): Promise<TlsServer> {
    const authority = new TlsServer();
    const server = root.issue();
    authority.write("cert.pem", server.certificatePem);
    authority.write("key.pem", server.keyPem);
    authority.write("ca.pem", root.certificatePem);
    authority.write("callers.json", JSON.stringify(callers));
    authority.write("secret", "32 bytes that seal keys in tests");
    await authority.start({
      TOKEN_AUTHORITY_TLS_CERT: join(authority.directory, "cert.pem"),
      TOKEN_AUTHORITY_TLS_KEY: join(authority.directory, "key.pem"),
      TOKEN_AUTHORITY_TLS_CLIENT_CA: join(authority.directory, "ca.pem"),
      TOKEN_AUTHORITY_CALLERS: join(authority.directory, "callers.json"),
      TOKEN_AUTHORITY_SEALING_SECRET: join(authority.directory, "secret"),
      ...more,
    });
    return authority;
  }

  write(file: string, content: string): void {
    writeFileSync(join(this.directory, file), content, { mode: 0o600 });
  }

  transport(certificate: TestCertificate | null) {
    const [, port] = this.server.address.split(":");
    return createGrpcTransport({
      baseUrl: `https://localhost:${port}`,
      nodeOptions: {
        ca: root.certificatePem,
        ...(certificate === null ? {} : { cert: certificate.certificatePem, key: certificate.keyPem }),
      },
    });
  }

  async metrics(): Promise<string> {
    return await (await fetch(`http://${this.server.adminAddress}/metrics`)).text();
  }

  /** An HTTP/2 connection of a caller. */
  async session(...names: GeneralName[]): Promise<ClientHttp2Session & AsyncDisposable> {
    const { certificatePem, keyPem } = root.issue({ names });
    const [, port] = this.server.address.split(":");
    const session = connectHttp2(`https://localhost:${port}`, {
      ca: root.certificatePem,
      cert: certificatePem,
      key: keyPem,
    });
    session.on("error", () => {});
    await once(session, "connect");
    return Object.assign(session, {
      async [Symbol.asyncDispose]() {
        session.destroy();
      },
    });
  }

  as(...names: GeneralName[]): Client<typeof TokenService> {
    return createClient(TokenService, this.transport(root.issue({ names })));
  }
}

async function codeOf(call: Promise<unknown>): Promise<Code | "ok"> {
  return call.then(
    () => "ok" as const,
    (error) => ConnectError.from(error).code,
  );
}

/** Calls with an empty message. For whoever may call, it is answered or found wanting, but never for who calls. */
function callEach(tokens: Client<typeof TokenService>) {
  const calls = {
    create: () => tokens.create({}),
    get: () => tokens.get({}),
    list: () => tokens.list({}),
    revoke: () => tokens.revoke({}),
    revokeTokens: () => tokens.revokeTokens({}),
    rotateKey: () => tokens.rotateKey({}),
    endRotation: () => tokens.endRotation({}),
    setHold: () => tokens.setHold({}),
    closeAccount: () => tokens.closeAccount({}),
    findByDigest: () => tokens.findByDigest({}),
    listChanges: () => tokens.listChanges({}),
    listAccounts: () => tokens.listAccounts({}),
    authenticate: () => tokens.authenticate({}),
    watch: () => tokens.watch(asked({}))[Symbol.asyncIterator]().next(),
  } satisfies Record<keyof typeof TokenService.method, () => Promise<unknown>>;
  return calls;
}

async function* asked<T>(message: T): AsyncGenerator<T> {
  yield message;
}

const management = ["create", "get", "list", "revoke", "rotateKey", "endRotation", "listChanges"];
const identities = [
  ["no certificate", null, Code.Unauthenticated, []],
  [
    "a certificate of another CA",
    strangers.issue({ names: [{ uri: "spiffe://casapay/operator" }] }),
    Code.Unauthenticated,
    [],
  ],
  [
    "a certificate with two identities",
    root.issue({ names: [{ uri: "spiffe://casapay/operator" }, { uri: "spiffe://casapay/gateway" }] }),
    Code.Unauthenticated,
    [],
  ],
  ["an unknown identity", root.issue({ names: [{ uri: "spiffe://casapay/other" }] }), Code.PermissionDenied, []],
  [
    "a gateway",
    root.issue({ names: [{ uri: "spiffe://casapay/gateway" }] }),
    Code.PermissionDenied,
    ["authenticate", "watch"],
  ],
  ["a service", root.issue({ names: [{ uri: "spiffe://casapay/service" }] }), Code.PermissionDenied, management],
  [
    "a dashboard",
    root.issue({ names: [{ dns: "dashboard.casapay.internal" }] }),
    Code.PermissionDenied,
    [...management, "revokeTokens", "setHold", "closeAccount", "findByDigest"],
  ],
  [
    "an operator",
    root.issue({ names: [{ uri: "spiffe://casapay/operator" }] }),
    Code.PermissionDenied,
    [...management, "revokeTokens", "setHold", "closeAccount", "findByDigest", "listAccounts", "authenticate", "watch"],
  ],
] as const;

describe("over mutual TLS", () => {
  let authority: TlsServer;
  beforeAll(async () => {
    authority = await TlsServer.startTls();
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  it.each(identities)(
    "%s may call what its role says and nothing else",
    async (_who, certificate, refusal, allowed) => {
      const calls = callEach(createClient(TokenService, authority.transport(certificate)));
      const mayCall: readonly string[] = allowed;
      for (const [rpc, call] of Object.entries(calls)) {
        const code = await codeOf(call());
        if (mayCall.includes(rpc)) {
          expect([Code.Unauthenticated, Code.PermissionDenied]).not.toContain(code);
        } else {
          expect([rpc, code]).toEqual([rpc, refusal]);
        }
      }
    },
  );

  it.each([
    ["no certificate", null, "16"],
    ["an identity without a role", root.issue({ names: [{ uri: "spiffe://casapay/nobody" }] }), "7"],
  ])("%s is refused at the first part of a body, of which nothing is kept", async (_who, certificate, status) => {
    const [, port] = authority.server.address.split(":");
    const client = certificate === null ? {} : { cert: certificate.certificatePem, key: certificate.keyPem };
    const session = connectHttp2(`https://localhost:${port}`, { ca: root.certificatePem, ...client });
    for (const rpc of ["Authenticate", "Create"]) {
      const stream = session.request({
        ":method": "POST",
        ":path": `/casapay.token.v1.TokenService/${rpc}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => {});
      stream.write(Buffer.alloc(500));
      const [header] = await once(stream, "response");
      expect(header["grpc-status"]).toBe(status);
      stream.close();
    }
    session.destroy();
  });

  it("health answers whoever has an identity, and nobody without", async () => {
    const stranger = createClient(Health, authority.transport(root.issue({ names: [{ dns: "probe.internal" }] })));
    expect((await stranger.check({})).status).toBe(Status.SERVING);
    expect(await codeOf(createClient(Health, authority.transport(null)).check({}))).toBe(Code.Unauthenticated);
  });

  it("a token remembers who created it", async () => {
    const { token } = await authority
      .as({ dns: "dashboard.casapay.internal" })
      .create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
    expect(token?.createdBy).toBe("dashboard.casapay.internal");
  });

  it("a request id is the caller's own: two callers may use the same", async () => {
    const request = {
      account: "acct_1",
      name: "a key",
      type: TokenType.RESTRICTED,
      permissions: ["a:read"],
      requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52",
    };
    const ids = await Promise.all(
      [{ uri: "spiffe://casapay/service" }, { uri: "spiffe://casapay/operator" }].map(async (name) => {
        const { token } = await authority.as(name).create(request);
        return token?.id;
      }),
    );
    expect(new Set(ids).size).toBe(2);
  });
});

describe("a reload", () => {
  it("gives and takes roles on connections that stay open", async () => {
    await using authority = await TlsServer.startTls();
    const tokens = authority.as({ uri: "spiffe://casapay/gateway" });
    expect(await codeOf(tokens.authenticate({}))).toBe("ok");
    authority.write("callers.json", JSON.stringify({ ...callers, "spiffe://casapay/gateway": "service" }));
    authority.server.reload();
    expect(await codeOf(tokens.authenticate({}))).toBe(Code.PermissionDenied);
    expect(await codeOf(tokens.list({ account: "acct_1" }))).toBe("ok");
    authority.write("callers.json", JSON.stringify({ "spiffe://casapay/operator": "operator" }));
    authority.server.reload();
    expect(await codeOf(tokens.list({ account: "acct_1" }))).toBe(Code.PermissionDenied);
  });

  it.each([
    ["callers.json", "not JSON"],
    ["callers.json", '{"spiffe://casapay/gateway": "root"}'],
    ["callers.json", "[]"],
    ["callers.json", "{}"],
    ["callers.json", '{"spiffe://casapay/gateway": "gateway", "spiffe:\\u002f/casapay/gateway": "operator"}'],
    ["cert.pem", "no certificate"],
    ["ca.pem", ""],
    ["ca.pem", `${root.certificatePem}${strangers.certificatePem.slice(0, -40)}`],
  ])("with a bad %s keeps the old set and says so", async (file, content) => {
    await using authority = await TlsServer.startTls();
    const tokens = authority.as({ uri: "spiffe://casapay/gateway" });
    expect(await codeOf(tokens.authenticate({}))).toBe("ok");
    authority.write(file, content);
    authority.server.reload();
    expect(authority.logged.filter(({ level }) => level === "error")).toHaveLength(1);
    expect(await codeOf(tokens.authenticate({}))).toBe("ok");
    expect(await codeOf(authority.as({ uri: "spiffe://casapay/gateway" }).authenticate({}))).toBe("ok");
  });

  it("with one bad file changes nothing of the good ones", async () => {
    await using authority = await TlsServer.startTls();
    const tokens = authority.as({ uri: "spiffe://casapay/gateway" });
    expect(await codeOf(tokens.authenticate({}))).toBe("ok");
    authority.write("callers.json", JSON.stringify({ "spiffe://casapay/gateway": "service" }));
    authority.write("ca.pem", strangers.certificatePem);
    authority.write("key.pem", "no key");
    authority.server.reload();
    expect(authority.logged.filter(({ level }) => level === "error")).toMatchObject([
      { message: "certificates and callers were not reloaded: the old ones hold" },
    ]);
    expect(await codeOf(tokens.authenticate({}))).toBe("ok");
  });

  it("reads the files once, for all threads", async () => {
    await using authority = await TlsServer.startTls({ TOKEN_AUTHORITY_THREADS: "3" });
    const certificate = root.issue({ names: [{ uri: "spiffe://casapay/gateway" }] });
    // Enough for each thread to have some.
    const clients = Array.from({ length: 24 }, () => createClient(TokenService, authority.transport(certificate)));
    const ask = () => Promise.all(clients.map((client) => codeOf(client.authenticate({}))));
    expect(new Set(await ask())).toEqual(new Set(["ok"]));
    authority.write("ca.pem", strangers.certificatePem);
    authority.server.reload();
    for (const file of ["cert.pem", "key.pem", "ca.pem", "callers.json"]) {
      rmSync(join(authority.directory, file));
    }
    await expect.poll(async () => [...new Set(await ask())]).toEqual([Code.Unauthenticated]);
    expect(authority.logged.filter(({ level }) => level === "error")).toEqual([]);
    expect(authority.logged.filter(({ message }) => message === "the certificates were reloaded")).toHaveLength(1);
  });

  it("with another CA turns away whom the old one vouched for, on connections that were open as well", async () => {
    await using authority = await TlsServer.startTls();
    const tokens = authority.as({ uri: "spiffe://casapay/gateway" });
    expect(await codeOf(tokens.authenticate({}))).toBe("ok");
    authority.write("ca.pem", strangers.certificatePem);
    authority.server.reload();
    await expect.poll(() => codeOf(tokens.authenticate({}))).toBe(Code.Unauthenticated);
    const stranger = strangers.issue({ names: [{ uri: "spiffe://casapay/gateway" }] });
    expect(await codeOf(createClient(TokenService, authority.transport(stranger)).authenticate({}))).toBe("ok");
  });
});

const lateToken = { account: "acct_late", name: "late", type: TokenType.SECRET };

describe("a caller that may not call", () => {
  const dayMs = 86_400_000;
  const gateway = [{ uri: "spiffe://casapay/gateway" }];
  const ended = { validFromMs: Date.now() - 2 * dayMs, validToMs: Date.now() - dayMs };
  const cases = [
    ["CERTIFICATE_MISSING", null, "none was shown", { caller: undefined }],
    [
      "CERTIFICATE_UNTRUSTED",
      strangers.issue({ names: gateway, commonName: "them" }),
      "not issued by a CA",
      {
        // Anybody can write that name.
        caller: undefined,
        subject: expect.stringMatching(/^CN=them /),
        issuer: expect.stringMatching(/^CN=another root /),
      },
    ],
    [
      "CERTIFICATE_EXPIRED",
      root.issue({ names: gateway, ...ended }),
      "has expired",
      {
        caller: "spiffe://casapay/gateway",
        expires_at: expect.stringMatching(/^2/),
        openssl: "CERT_HAS_EXPIRED",
      },
    ],
    [
      "CERTIFICATE_NOT_YET_VALID",
      root.issue({ names: gateway, validFromMs: Date.now() + dayMs }),
      "not valid yet",
      {
        caller: "spiffe://casapay/gateway",
      },
    ],
    [
      "CERTIFICATE_UNSUITABLE",
      root.issue({ names: gateway, usages: ["1.3.6.1.5.5.7.3.1"] }),
      "not good for a client",
      {
        caller: "spiffe://casapay/gateway",
        openssl: "INVALID_PURPOSE",
      },
    ],
    ["CERTIFICATE_WITHOUT_IDENTITY", root.issue({ names: [] }), "must name one identity", {}],
    [
      "CALLER_UNKNOWN",
      root.issue({ names: [{ uri: "spiffe://casapay/x" }] }),
      "not in the callers file",
      {
        caller: "spiffe://casapay/x",
        expires_at: expect.stringMatching(/^2/),
      },
    ],
  ] as const;

  it.each(cases)("is told why, and so are the log and a metric: %s", async (reason, certificate, words, fields) => {
    await using authority = await TlsServer.startTls();
    const counted = `token_authority_peers_refused_total{port="rpc",reason="${reason}"}`;
    // Prometheus does not see the first of a count that begins with it.
    expect(await authority.metrics()).toContain(`${counted} 0`);
    const tokens = createClient(TokenService, authority.transport(certificate));
    await expect(tokens.authenticate({})).rejects.toThrow(words);
    await expect(tokens.authenticate({})).rejects.toThrow(words);
    const lines = authority.logged.filter(({ message }) => message === "a peer may not call");
    expect(lines).toMatchObject([{ fields: { reason, port: "rpc", peer: "127.0.0.1", suppressed: 0, ...fields } }]);
    const count = reason === "CALLER_UNKNOWN" ? 2 : 1;
    // They are made once a second at most.
    await expect.poll(() => authority.metrics()).toContain(`${counted} ${count}`);
  });

  it("that speaks in plaintext is told so, and counted as well", async () => {
    await using authority = await TlsServer.startTls();
    const [, port] = authority.server.address.split(":");
    expect((await fetch(`http://localhost:${port}/`)).status).toBe(400);
    expect(await authority.metrics()).toContain('token_authority_peers_refused_total{port="rpc",reason="PLAINTEXT"} 1');
  });

  it("has a name that tells no key, and one line however often it comes", async () => {
    const key = mintKey("secret", true);
    await using authority = await TlsServer.startTls();
    for (let times = 0; times < 3; times += 1) {
      const stranger = strangers.issue({ names: gateway, commonName: key });
      await codeOf(createClient(TokenService, authority.transport(stranger)).authenticate({}));
    }
    expect(JSON.stringify(authority.logged)).not.toContain(key);
    expect(authority.logged.filter(({ message }) => message === "a peer may not call")).toHaveLength(1);
    expect(await authority.metrics()).toContain('reason="CERTIFICATE_UNTRUSTED"} 3');
  });
});

it("says when the certificates of callers end, of those that the callers file names", async () => {
  await using authority = await TlsServer.startTls();
  const endMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
  const names = [{ uri: "spiffe://casapay/gateway" }];
  for (const certificate of [
    root.issue({ names }),
    root.issue({ names, validToMs: endMs }),
    root.issue({ names: [{ uri: "spiffe://casapay/x" }] }),
  ]) {
    await codeOf(createClient(TokenService, authority.transport(certificate)).authenticate({}));
  }
  const lines = (await authority.metrics())
    .split("\n")
    .filter((line) => /^token_authority_caller_certificate/.test(line));
  expect(lines).toEqual([
    `token_authority_caller_certificate_expiry_timestamp_seconds{caller="spiffe://casapay/gateway"} ${endMs / 1000}`,
  ]);
});

/** Ways to ask for something, each with a body that can be cut in two. */
const message = toBinary(CreateRequestSchema, createMessage(CreateRequestSchema, lateToken));
const json = Buffer.from(JSON.stringify({ ...lateToken, type: "TOKEN_TYPE_SECRET" }));
const createPath = "/casapay.token.v1.TokenService/Create";
const doors: readonly Door[] = [
  { name: "Create over gRPC, in its lane", path: createPath, type: "application/grpc", body: framed(message) },
  { name: "Create over gRPC-Web", path: createPath, type: "application/grpc-web+proto", body: framed(message) },
  { name: "Create over Connect", path: createPath, type: "application/proto", body: Buffer.from(message) },
  { name: "Create over Connect, in JSON", path: createPath, type: "application/json", body: json },
  {
    name: "Authenticate over gRPC, in its lane",
    path: "/casapay.token.v1.TokenService/Authenticate",
    type: "application/grpc",
    body: framed(Buffer.from([0x0a, 1, 0x78])),
  },
  {
    name: "Authenticate over Connect",
    path: "/casapay.token.v1.TokenService/Authenticate",
    type: "application/json",
    body: Buffer.from('{"key": "x"}'),
  },
  {
    name: "List, which has no lane",
    path: "/casapay.token.v1.TokenService/List",
    type: "application/grpc",
    body: framed(Buffer.alloc(0)),
  },
  {
    name: "Envoy's Check",
    path: "/envoy.service.auth.v3.Authorization/Check",
    type: "application/grpc",
    body: framed(Buffer.from([0x0a, 0])),
  },
];

const ends = [
  ["its CA is taken away", (authority: TlsServer) => authority.write("ca.pem", strangers.certificatePem)],
  [
    "its role is taken away",
    (authority: TlsServer) => authority.write("callers.json", '{"spiffe://casapay/x": "operator"}'),
  ],
  [
    "its certificate ends",
    (authority: TlsServer) => {
      authority.clock.nowMs += 2 * 86_400_000;
    },
  ],
] as const;

describe.each(ends)("a request that is under way when %s", (end, takeAway) => {
  it.each(doors)("is not done: $name", async ({ path, type, body }) => {
    await using authority = await TlsServer.startTls();
    await using session = await authority.session({ uri: "spiffe://casapay/operator" });
    const good = await begin(session, path, type, body);
    good.finish();
    expect(await good.isRefused).toBe(false);
    const before = changesOf(authority);

    const late = await begin(session, path, type, body);
    takeAway(authority);
    authority.server.reload();
    late.finish();
    expect(await late.isRefused, end).toBe(true);
    expect(changesOf(authority)).toBe(before);
  });
});

describe("a stream that is open when its caller's CA is taken away", () => {
  it("of health ends", async () => {
    await using authority = await TlsServer.startTls();
    const health = createClient(
      Health,
      authority.transport(root.issue({ names: [{ uri: "spiffe://casapay/gateway" }] })),
    );
    const statuses = health.watch({})[Symbol.asyncIterator]();
    expect((await statuses.next()).value?.status).toBe(Status.SERVING);
    authority.write("ca.pem", strangers.certificatePem);
    authority.server.reload();
    await expect(statuses.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  it("of Watch ends, also when the callers file no longer knows its caller", async () => {
    await using authority = await TlsServer.startTls();
    const watch = () => new Watcher(authority.as({ uri: "spiffe://casapay/gateway" }));
    await using first = watch();
    await first.leased();
    const { "spiffe://casapay/gateway": _, ...others } = callers;
    authority.write("callers.json", JSON.stringify(others));
    authority.server.reload();
    first.renew();
    expect(await first.end()).toMatchObject({ code: Code.PermissionDenied });
    authority.write("callers.json", JSON.stringify(callers));
    authority.server.reload();

    await using second = watch();
    await second.leased();
    authority.write("ca.pem", strangers.certificatePem);
    authority.server.reload();
    second.renew();
    expect(await second.end()).toMatchObject({ code: Code.Unauthenticated });
  });

  it("of reflection answers no other question", async () => {
    await using authority = await TlsServer.startTls();
    const client = createClient(
      ServerReflection,
      authority.transport(root.issue({ names: [{ uri: "spiffe://casapay/gateway" }] })),
    );
    const { promise: isTaken, resolve } = Promise.withResolvers<void>();
    const question = { messageRequest: { case: "listServices", value: "" } } as const;
    async function* questions() {
      yield question;
      await isTaken;
      yield question;
    }
    const answers = client.serverReflectionInfo(questions())[Symbol.asyncIterator]();
    expect((await answers.next()).value?.messageResponse.case).toBe("listServicesResponse");
    authority.write("ca.pem", strangers.certificatePem);
    authority.server.reload();
    resolve();
    await expect(answers.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
  });
});

type Door = { readonly name: string; readonly path: string; readonly type: string; readonly body: Buffer };

/** Begins a request: all of its body but the last byte is there, and it is being answered. */
async function begin(session: ClientHttp2Session, path: string, type: string, body: Buffer) {
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": type, te: "trailers" });
  const fields: Record<string, unknown> = {};
  const chunks: Buffer[] = [];
  stream.on("response", (header) => Object.assign(fields, header));
  stream.on("trailers", (trailer) => Object.assign(fields, trailer));
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.write(body.subarray(0, -1));
  // What is sent on one connection is taken in its order: this call is answered after the other has begun.
  await once(session.request({ ":path": "/nothing" }).resume(), "end");
  return {
    finish: () => stream.end(body.subarray(-1)),
    isRefused: once(stream, "close").then(() => {
      const text = Buffer.concat(chunks).toString("latin1");
      const status = fields["grpc-status"] ?? /grpc-status: (\d+)/.exec(text)?.[1] ?? String(fields[":status"]);
      return ["16", "7", "401", "403"].includes(String(status));
    }),
  };
}

/** How many changes were made, as the log has them. */
function changesOf(authority: TlsServer): number {
  return authority.logged.filter(({ fields }) => "hash" in fields && fields.hash !== undefined).length;
}

function framed(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, 0, bytes.length]), bytes]);
}
