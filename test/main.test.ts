import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { createAuthority } from "./support/certificates.ts";

const main = resolve(import.meta.dirname, "../src/main.ts");

/** A process of the authority in a working directory of its own. */
class Process implements AsyncDisposable {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";

  constructor(directory: string, args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [main, ...args], {
      cwd: directory,
      env: {
        TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0",
        TOKEN_AUTHORITY_ADMIN_LISTEN: "off",
        TOKEN_AUTHORITY_MIN_FREE_MIB: "1",
        ...environment,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
  }

  /** Where it listens, once it does. */
  async address(): Promise<string> {
    const [, address = ""] = await this.logged(/"address":"([^"]+)"/);
    return address;
  }

  /** What matches in the log, once it is there. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) {
        return match;
      }
      if (this.child.exitCode !== null) {
        throw new Error(`it ended before it logged ${pattern}: ${this.stderr}`);
      }
      await Promise.race([once(this.child.stdout ?? this.child, "data"), once(this.child, "close")]);
    }
  }

  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await once(this.child, "close");
    }
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended();
  }
}

function directory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "token-authority-main-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function clientOf(address: string) {
  return createClient(TokenService, createGrpcTransport({ baseUrl: `http://${address}` }));
}

const newKey = { account: "acct_1", name: "a key", type: TokenType.SECRET };

describe("the process", () => {
  it("prints its settings when asked for help", async () => {
    using here = directory();
    await using asked = new Process(here.path, ["--help"]);
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
    using here = directory();
    await using refused = new Process(here.path, args, environment);
    expect(await refused.ended()).toBe(2);
    expect(refused.stderr).toContain(line);
    expect(refused.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("on the defaults makes its data and its sealing secret, says how to begin, and only the first time", async () => {
    using here = directory();
    await using first = new Process(here.path);
    const tokens = clientOf(await first.address());
    const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";
    const { key } = await tokens.create({ ...newKey, requestId });
    expect((await tokens.create({ ...newKey, requestId })).key).toBe(key);
    expect(first.stderr).toContain("grpcurl -plaintext");
    expect(readdirSync(here.path).sort()).toEqual(["data", "data.sealing-secret"]);
    first.child.kill("SIGTERM");
    expect(await first.ended()).toBe(0);

    await using second = new Process(here.path);
    const { outcome } = await clientOf(await second.address()).authenticate({ key });
    expect(outcome.case).toBe("principal");
    expect(second.stderr).toBe("");
  });

  it("refuses a data directory that another process owns, with one line, and takes it once that was killed", async () => {
    using here = directory();
    await using owner = new Process(here.path);
    await owner.address();
    await using second = new Process(here.path);
    expect(await second.ended()).toBe(2);
    expect(second.stderr.trim().split("\n")).toEqual([expect.stringContaining("another process")]);
    owner.child.kill("SIGKILL");
    await owner.ended();
    await using third = new Process(here.path);
    await third.address();
  });

  it("refuses a port that is taken with one line", async () => {
    using here = directory();
    using elsewhere = directory();
    await using owner = new Process(here.path);
    const listen = { TOKEN_AUTHORITY_LISTEN: await owner.address() };
    await using second = new Process(elsewhere.path, [], listen);
    expect(await second.ended()).toBe(2);
    expect(second.stderr.trim().split("\n")).toEqual([expect.stringContaining("EADDRINUSE")]);
  });

  it("ends in good order, with a line when it begins to and one when it has, also on a signal during its start", async () => {
    using here = directory();
    await using early = new Process(here.path);
    // Logged before it listens.
    await early.logged(/the reserve on the disk is in place/);
    early.child.kill("SIGTERM");
    expect(await early.ended()).toBe(0);
    await using later = new Process(here.path);
    await later.address();
    later.child.kill("SIGTERM");
    expect(await later.ended()).toBe(0);
    for (const { stdout } of [early, later]) {
      expect(stdout).toMatch(/"signal":"SIGTERM","msg":"stopping"[\s\S]*"msg":"stopped"/);
    }
  });

  it("reads certificates and callers again after its start when it was told to during it", async () => {
    using here = directory();
    const root = createAuthority();
    const { certificatePem, keyPem } = root.issue();
    const files = {
      TLS_CERT: certificatePem,
      TLS_KEY: keyPem,
      TLS_CLIENT_CA: root.certificatePem,
      CALLERS: '{"spiffe://casapay/gateway": "gateway"}',
    };
    const settings = Object.entries(files).map(([name, content]) => {
      writeFileSync(join(here.path, name), content);
      return [`TOKEN_AUTHORITY_${name}`, join(here.path, name)];
    });
    await using told = new Process(here.path, [], Object.fromEntries(settings));
    await told.logged(/the reserve on the disk is in place/);
    told.child.kill("SIGHUP");
    await told.logged(/the callers were reloaded/);
    expect(told.child.exitCode).toBeNull();
  });

  it("ends at once on a second signal, however long a call would take", async () => {
    using here = directory();
    await using stubborn = new Process(here.path, [], { TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "600000" });
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
    using here = directory();
    const path = join(here.path, "authority.sock");
    await using served = new Process(here.path, [], { TOKEN_AUTHORITY_LISTEN: `unix:${path}` });
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
    using here = directory();
    await using served = new Process(here.path);
    const tokens = clientOf(await served.address());
    const { token } = await tokens.create(newKey);
    await tokens.revoke({ id: token?.id ?? "" });
    const [line] = await served.logged(/^.*"revision":2[,}].*\n/m);
    const { hash } = JSON.parse(line);
    await using verified = new Process(here.path, ["verify-journal", "data", "--head", `2:${hash}`]);
    expect(await verified.ended()).toBe(0);
    expect(verified.stdout).toBe(`the journal is whole, up to 2:${hash}\n`);
  });

  it("ends with 1 and the fault when the head is another", async () => {
    using here = directory();
    await using served = new Process(here.path);
    await clientOf(await served.address()).create(newKey);
    await using verified = new Process(here.path, ["verify-journal", "data", "--head", `1:${"0".repeat(64)}`]);
    expect(await verified.ended()).toBe(1);
    expect(verified.stdout).toMatch(/^the journal is at fault: .*\n$/);
  });

  it.each([[[]], [["nowhere", "--head", "1"]], [["a", "b"]]])("ends with 2 when it is called with %j", async (args) => {
    using here = directory();
    await using refused = new Process(here.path, ["verify-journal", ...args]);
    expect(await refused.ended()).toBe(2);
  });
});
