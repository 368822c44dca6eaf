import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { createAuthority, type GeneralName, type TestCertificate } from "./support/certificates.ts";
import { TestServer } from "./support/test-server.ts";

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
  static async startTls(): Promise<TlsServer> {
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
    findByDigest: () => tokens.findByDigest({}),
    listChanges: () => tokens.listChanges({}),
    listAccounts: () => tokens.listAccounts({}),
    authenticate: () => tokens.authenticate({}),
  } satisfies Record<keyof typeof TokenService.method, () => Promise<unknown>>;
  return calls;
}

const management = ["create", "get", "list", "revoke", "listChanges"];
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
  ["a gateway", root.issue({ names: [{ uri: "spiffe://casapay/gateway" }] }), Code.PermissionDenied, ["authenticate"]],
  ["a service", root.issue({ names: [{ uri: "spiffe://casapay/service" }] }), Code.PermissionDenied, management],
  [
    "a dashboard",
    root.issue({ names: [{ dns: "dashboard.casapay.internal" }] }),
    Code.PermissionDenied,
    [...management, "findByDigest"],
  ],
  [
    "an operator",
    root.issue({ names: [{ uri: "spiffe://casapay/operator" }] }),
    Code.PermissionDenied,
    [...management, "findByDigest", "listAccounts", "authenticate"],
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
