import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import packageJson from "../package.json" with { type: "json" };
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

  it("says its version when asked for it, and in the line at its start", async () => {
    using here = temporaryDirectory();
    await using asked = new AuthorityProcess(here.path, ["--version"]);
    expect(await asked.ended()).toBe(0);
    expect(asked.stdout).toBe(`token-authority ${packageJson.version} (Node ${process.versions.node})\n`);
    await using served = new AuthorityProcess(here.path);
    await served.logged(new RegExp(`"version":"${packageJson.version}".*"msg":"listening"`));
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
    ["an unknown option", ["--verbose"], {}, 'there is no option "--verbose": see --help'],
    ["an option with a typing error", ["--int"], {}, 'there is no option "--int", did you mean --init: see --help'],
    ["a setting as an option", ["--listen=127.0.0.1:1"], {}, "this one is TOKEN_AUTHORITY_LISTEN: see --help"],
    ["an option without its value", ["--head"], {}, "see --help"],
    ["an option of a command", ["--accept-lost-revocations"], {}, "these options belong to a command"],
    ["an unknown command", ["serve"], {}, 'there is no command "serve": see --help'],
    ["a command with a typing error", ["bakcup"], {}, 'there is no command "bakcup", did you mean backup: see --help'],
    [
      "a setting with a typing error",
      [],
      { TOKEN_AUTHORITY_DATADIR: "x" },
      "TOKEN_AUTHORITY_DATADIR: there is no such setting, TOKEN_AUTHORITY_DATA_DIR is one",
    ],
    [
      "a host that is not this machine's",
      [],
      { TOKEN_AUTHORITY_ADMIN_LISTEN: "192.0.2.1:9464" },
      "TOKEN_AUTHORITY_ADMIN_LISTEN: cannot listen on 192.0.2.1:9464: 192.0.2.1 is no address of this machine: set",
    ],
    [
      "a host that nobody knows",
      [],
      { TOKEN_AUTHORITY_ADMIN_LISTEN: "host.invalid:9464" },
      "TOKEN_AUTHORITY_ADMIN_LISTEN: cannot listen on host.invalid:9464: the name host.invalid is not known here",
    ],
    [
      "a socket in a directory that is not there",
      [],
      { TOKEN_AUTHORITY_LISTEN: "unix:/none/authority.sock" },
      "TOKEN_AUTHORITY_LISTEN: cannot listen on unix:/none/authority.sock: there is no directory /none: make it",
    ],
    [
      "a sealing secret that others can read",
      [],
      { TOKEN_AUTHORITY_SEALING_SECRET: "/etc/passwd" },
      "/etc/passwd: the sealing secret is open to others than its owner (mode 644): run chmod 600 on it",
    ],
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
    expect(first.stderr).toContain("curl -sS -H");
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

  it.each(["LISTEN", "ADMIN_LISTEN", "REST_LISTEN", "CONSOLE_LISTEN"])(
    "refuses a port that is taken with one line that names %s and another port",
    async (name) => {
      using here = temporaryDirectory();
      using elsewhere = temporaryDirectory();
      await using owner = new AuthorityProcess(here.path);
      const taken = await owner.address();
      await using second = new AuthorityProcess(elsewhere.path, [], { [`TOKEN_AUTHORITY_${name}`]: taken });
      expect(await second.ended()).toBe(2);
      const [line = "", ...more] = second.stderr.trim().split("\n");
      expect(more).toEqual([]);
      const port = Number(taken.split(":")[1]);
      expect(line).toContain(
        `TOKEN_AUTHORITY_${name}: cannot listen on ${taken}: another program listens there, or a connection has the port: end it, or set TOKEN_AUTHORITY_${name} to another port, such as 127.0.0.1:${port + (port < 65_535 ? 1 : -1)}`,
      );
    },
  );

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

describe("a start without tokens", () => {
  /** Runs the command that a person is told to run, and returns what it printed. */
  async function follow(served: AuthorityProcess, program: string, edit = (text: string) => text): Promise<string> {
    const command = new RegExp(`^  (${program} [\\s\\S]*?Create)$`, "m");
    while (!command.test(served.stderr)) {
      await once(served.child.stderr ?? served.child, "data");
    }
    const [, text = ""] = command.exec(served.stderr) ?? [];
    return (await promisify(execFile)("bash", ["-c", edit(text)])).stdout;
  }

  it("says each time how to make the first key, with curl, until there is one", async () => {
    using here = temporaryDirectory();
    await using first = new AuthorityProcess(here.path);
    await follow(first, "curl", () => "true");
    first.child.kill("SIGTERM");
    await first.ended();
    await using second = new AuthorityProcess(here.path);
    expect(JSON.parse(await follow(second, "curl")).key).toMatch(/^sk_test_/);
    second.child.kill("SIGTERM");
    await second.ended();
    await using third = new AuthorityProcess(here.path);
    await third.address();
    third.child.kill("SIGTERM");
    await third.ended();
    expect(third.stderr).toBe("");
  });

  it("says so for a unix socket", async () => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path, [], {
      TOKEN_AUTHORITY_LISTEN: `unix:${join(here.path, "s")}`,
    });
    expect(JSON.parse(await follow(served, "curl")).key).toMatch(/^sk_test_/);
  });

  it("says so for TLS, with an operator's certificate", async () => {
    using here = temporaryDirectory();
    const root = createAuthority();
    const [server, operator] = [root.issue(), root.issue({ names: [{ uri: "spiffe://casapay/oncall" }] })];
    const file = (name: string, content: string) => {
      writeFileSync(join(here.path, name), content, { mode: 0o600 });
      return join(here.path, name);
    };
    const ca = file("ca.pem", root.certificatePem);
    await using served = new AuthorityProcess(here.path, [], {
      TOKEN_AUTHORITY_TLS_CERT: file("cert.pem", server.certificatePem),
      TOKEN_AUTHORITY_TLS_KEY: file("key.pem", server.keyPem),
      TOKEN_AUTHORITY_TLS_CLIENT_CA: ca,
      TOKEN_AUTHORITY_CALLERS: file("callers.json", '{"spiffe://casapay/oncall": "operator"}'),
    });
    const [certificate, key] = [file("op.pem", operator.certificatePem), file("op.key", operator.keyPem)];
    const answer = await follow(served, "curl", (text) =>
      text.replace("SERVER_CA.pem", ca).replace("OPERATOR.pem", certificate).replace("OPERATOR.key", key),
    );
    expect(JSON.parse(answer).key).toMatch(/^sk_test_/);
  });

  it("says that nobody may make a secret key where plaintext callers have a role that may not", async () => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path, [], { TOKEN_AUTHORITY_PLAINTEXT_ROLE: "gateway" });
    await served.address();
    served.child.kill("SIGTERM");
    await served.ended();
    expect(served.stderr).toContain("with TOKEN_AUTHORITY_PLAINTEXT_ROLE=gateway nobody may make a secret key");
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
