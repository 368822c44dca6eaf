import { readdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityProcess, clientOf, temporaryDirectory } from "./support/authority-process.ts";
import { createAuthority } from "./support/certificates.ts";

const newKey = { account: "acct_1", name: "a key", type: TokenType.SECRET };

describe("the process", () => {
  it("prints its settings when asked for help", async () => {
    using here = temporaryDirectory();
    await using asked = new AuthorityProcess(here.path, ["--help"]);
    expect(await asked.ended()).toBe(0);
    expect(asked.stdout).toContain("TOKEN_AUTHORITY_LISTEN");
    expect(asked.stdout).toContain("npm run verify-journal");
    expect(readdirSync(here.path)).toEqual([]);
  });

  it.each([
    ["an unknown setting", [], { TOKEN_AUTHORITY_LISTEM: "x" }, "TOKEN_AUTHORITY_LISTEM: there is no such setting"],
    [
      "a bad value",
      [],
      { TOKEN_AUTHORITY_MIN_FREE_MIB: "much" },
      "TOKEN_AUTHORITY_MIN_FREE_MIB: must be a whole number",
    ],
    [
      "plaintext for all",
      [],
      { TOKEN_AUTHORITY_LISTEN: "0.0.0.0:0" },
      "TOKEN_AUTHORITY_LISTEN: plaintext is served on",
    ],
    ["a missing secret", [], { TOKEN_AUTHORITY_SEALING_SECRET: "./none" }, "the sealing secret cannot be read"],
    [
      "a data directory that cannot be made",
      [],
      { TOKEN_AUTHORITY_DATA_DIR: "/proc/none/data" },
      "the data directory /proc/none/data cannot be made (ENOENT)",
    ],
    ["an unknown option", ["--verbose"], {}, "--verbose"],
    ["an unknown command", ["serve"], {}, "these arguments mean nothing here"],
  ])("ends at once with one clear line on %s", async (_what, args, environment, line) => {
    using here = temporaryDirectory();
    await using refused = new AuthorityProcess(here.path, args, environment);
    expect(await refused.ended()).toBe(2);
    expect(refused.stderr).toContain(line);
    expect(refused.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("on the defaults makes its data and its sealing secret, says how to begin, and only the first time", async () => {
    using here = temporaryDirectory();
    await using first = new AuthorityProcess(here.path);
    const tokens = clientOf(await first.address());
    const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";
    const { key } = await tokens.create({ ...newKey, requestId });
    expect((await tokens.create({ ...newKey, requestId })).key).toBe(key);
    expect(first.stderr).toContain("grpcurl -plaintext");
    expect(readdirSync(here.path).sort()).toEqual(["data", "data.marker", "data.sealing-secret"]);
    first.child.kill("SIGTERM");
    expect(await first.ended()).toBe(0);

    await using second = new AuthorityProcess(here.path);
    const { outcome } = await clientOf(await second.address()).authenticate({ key });
    expect(outcome.case).toBe("principal");
    expect(second.stderr).toBe("");
  });

  it("refuses a data directory that another process owns, with one line, and takes it once that was killed", async () => {
    using here = temporaryDirectory();
    await using owner = new AuthorityProcess(here.path);
    await owner.address();
    await using second = new AuthorityProcess(here.path);
    expect(await second.ended()).toBe(2);
    expect(second.stderr.trim().split("\n")).toEqual([expect.stringContaining("another process")]);
    owner.child.kill("SIGKILL");
    await owner.ended();
    await using third = new AuthorityProcess(here.path);
    await third.address();
  });

  it("refuses a port that is taken with one line", async () => {
    using here = temporaryDirectory();
    using elsewhere = temporaryDirectory();
    await using owner = new AuthorityProcess(here.path);
    const listen = { TOKEN_AUTHORITY_LISTEN: await owner.address() };
    await using second = new AuthorityProcess(elsewhere.path, [], listen);
    expect(await second.ended()).toBe(2);
    expect(second.stderr.trim().split("\n")).toEqual([expect.stringContaining("EADDRINUSE")]);
  });

  it("ends in good order, with a line when it begins to and one when it has, also on a signal during its start", async () => {
    using here = temporaryDirectory();
    await using early = new AuthorityProcess(here.path);
    // Logged before it listens.
    await early.logged(/the reserve on the disk is in place/);
    early.child.kill("SIGTERM");
    expect(await early.ended()).toBe(0);
    await using later = new AuthorityProcess(here.path);
    await later.address();
    later.child.kill("SIGTERM");
    expect(await later.ended()).toBe(0);
    for (const { stdout } of [early, later]) {
      expect(stdout).toMatch(/"signal":"SIGTERM","msg":"stopping"[\s\S]*"msg":"stopped"/);
    }
  });

  it("reads certificates and callers again after its start when it was told to during it", async () => {
    using here = temporaryDirectory();
    const root = createAuthority();
    const { certificatePem, keyPem } = root.issue();
    const files = {
      TLS_CERT: certificatePem,
      TLS_KEY: keyPem,
      TLS_CLIENT_CA: root.certificatePem,
      CALLERS: '{"spiffe://casapay/gateway": "gateway"}',
    };
    const settings = Object.entries(files).map(([name, content]) => {
      writeFileSync(join(here.path, name), content, { mode: 0o600 });
      return [`TOKEN_AUTHORITY_${name}`, join(here.path, name)];
    });
    await using told = new AuthorityProcess(here.path, [], Object.fromEntries(settings));
    await told.logged(/the reserve on the disk is in place/);
    told.child.kill("SIGHUP");
    await told.logged(/the callers were reloaded/);
    expect(told.child.exitCode).toBeNull();
  });

  it.each(["SIGINT", "SIGQUIT"] as const)("ends in good order on %s as well", async (signal) => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path);
    await served.address();
    served.child.kill(signal);
    expect(await served.ended()).toBe(0);
    expect(served.stdout).toMatch(/"msg":"stopping"[\s\S]*"msg":"stopped"/);
  });

  it("opens no debugger on SIGUSR1, and outlives SIGUSR2 and SIGPIPE", async () => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path, [], { NODE_OPTIONS: "--inspect-port=0" });
    const tokens = clientOf(await served.address());
    for (const signal of ["SIGUSR1", "SIGUSR2", "SIGPIPE"] as const) {
      served.child.kill(signal);
      await tokens.list({});
    }
    served.child.kill("SIGTERM");
    expect(await served.ended()).toBe(0);
    expect(served.stderr).not.toContain("Debugger");
  });

  it("ends at once on a second signal, however long a call would take", async () => {
    using here = temporaryDirectory();
    await using stubborn = new AuthorityProcess(here.path, [], { TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "600000" });
    const [host, port] = (await stubborn.address()).split(":");
    // A request without its body: a call under way that nothing ends soon.
    const socket = connect(Number(port), host);
    socket.on("error", () => {});
    socket.write(
      `POST /${TokenService.typeName}/Get HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
    );
    await clientOf(`${host}:${port}`).list({});
    stubborn.child.kill("SIGTERM");
    stubborn.child.kill("SIGINT");
    expect(await stubborn.ended()).toBe(1);
    socket.destroy();
  });

  it("serves on a unix socket that only its owner may use, and removes it", async () => {
    using here = temporaryDirectory();
    const path = join(here.path, "authority.sock");
    await using served = new AuthorityProcess(here.path, [], { TOKEN_AUTHORITY_LISTEN: `unix:${path}` });
    expect(await served.address()).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const transport = createGrpcTransport({
      baseUrl: "http://localhost",
      nodeOptions: { createConnection: () => connect(path) },
    });
    expect((await createClient(TokenService, transport).list({})).tokens).toEqual([]);
    served.child.kill("SIGTERM");
    expect(await served.ended()).toBe(0);
    expect(readdirSync(here.path)).not.toContain("authority.sock");
  });
});

describe("verify-journal", () => {
  it("beside a running server says that the journal is whole, and what its head is, as the log has it", async () => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path);
    const tokens = clientOf(await served.address());
    const { token } = await tokens.create(newKey);
    await tokens.revoke({ id: token?.id ?? "" });
    const [line] = await served.logged(/^.*"revision":2,"hash".*\n/m);
    const { hash } = JSON.parse(line);
    await using verified = new AuthorityProcess(here.path, ["verify-journal", "data", "--head", `2:${hash}`]);
    expect(await verified.ended()).toBe(0);
    expect(verified.stdout).toBe(`the journal is whole, up to 2:${hash}\n`);
  });

  it("ends with 1 and the fault when the head is another", async () => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path);
    await clientOf(await served.address()).create(newKey);
    await using verified = new AuthorityProcess(here.path, ["verify-journal", "data", "--head", `1:${"0".repeat(64)}`]);
    expect(await verified.ended()).toBe(1);
    expect(verified.stdout).toMatch(/^the journal is at fault: .*\n$/);
  });

  it.each([[[]], [["nowhere", "--head", "1"]], [["a", "b"]]])("ends with 2 when it is called with %j", async (args) => {
    using here = temporaryDirectory();
    await using refused = new AuthorityProcess(here.path, ["verify-journal", ...args]);
    expect(await refused.ended()).toBe(2);
  });
});
