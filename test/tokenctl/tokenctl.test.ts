// tokenctl as its users run it: child processes, against a real authority.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { freePort } from "../suites/support/ports.ts";
import { AuthorityProcess, clientOf, temporaryDirectory } from "../support/authority-process.ts";
import { createAuthority } from "../support/certificates.ts";
import { answerOnTerminal, type Ended, followTail, program, runTokenctl, writeProfile } from "./run-tokenctl.ts";

const anyKey = /[spr]k_(?:live|test)_[0-9A-Za-z]{38}/;
/** Well-formed, and nobody's. */
const unknownKey = "rk_live_000000000000000000000000000000000ij8Fb";

describe("tokenctl", () => {
  const directory = temporaryDirectory();
  let authority: AuthorityProcess;
  let address: string;
  let profile: string;

  beforeAll(async () => {
    authority = new AuthorityProcess(directory.path);
    address = await authority.address();
    profile = writeProfile(directory.path, { address });
  });

  afterAll(async () => {
    await authority[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  const tokenctl = async (...args: readonly string[]) => await runTokenctl(profile, args);

  /** The JSON that a command prints, a value a line. */
  async function json(...args: readonly string[]) {
    const { stdout, exitCode, stderr } = await tokenctl(...args, "--json");
    const isIssued = args[0] === "create" || args[0] === "rotate";
    const requestId = expect.stringMatching(/^{"requestId":"[0-9a-f-]{36}".*}\n$/);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: isIssued ? requestId : "" });
    return stdout
      .trimEnd()
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  async function create(account: string, ...args: readonly string[]) {
    const [created] = await json("create", "--account", account, "--name", "Till", "--type", "secret", ...args);
    return created as { token: { id: string; keyHint: string }; key: string; revision: number };
  }

  it("creates a token: its key is all of standard output, and the rest is for people", async () => {
    const args = ["--account", "acct_new", "--name", "Webhook server", "--type", "restricted", "--mode", "live"];
    const permissions = ["--permission", "events:read", "--permission", "charges:write"];
    const { stdout, stderr, exitCode } = await tokenctl("create", ...args, ...permissions, "--expires", "90d");
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringMatching(/^rk_live_[0-9A-Za-z]{38}\n$/) });
    expect(stderr).toMatch(/^name +Webhook server$/m);
    expect(stderr).toMatch(/^permissions +events:read\npermissions +charges:write$/m);
    expect(stderr).not.toMatch(anyKey);
    const [token] = await json("list", "--account", "acct_new");
    const days = (Date.parse(token.expireTime) - Date.parse(token.createTime)) / 86_400_000;
    expect(days).toBeCloseTo(90, 1);
  });

  it("answers the same key to the same request id", async () => {
    const id = ["--request-id", "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52"];
    const first = await create("acct_again", ...id);
    expect(await create("acct_again", ...id)).toEqual(first);
    await tokenctl("revoke", first.token.id);
    const again = await tokenctl("create", "--account", "acct_again", "--name", "Till", "--type", "secret", ...id);
    expect(again).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining("no key to show again") });
  });

  it("says whose the keys on standard input are, and sends their digests alone", async () => {
    const sent: Buffer[] = [];
    const [host = "", port = ""] = address.split(":");
    await using proxy = createServer((client) => {
      const upstream = connect(Number(port), host);
      client
        .on("data", (bytes) => sent.push(bytes as Buffer))
        .pipe(upstream)
        .pipe(client);
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    using elsewhere = temporaryDirectory();
    const proxied = writeProfile(elsewhere.path, { address: `127.0.0.1:${(proxy.address() as AddressInfo).port}` });

    const { token, key } = await create("acct_leak");
    const found = await runTokenctl(proxied, ["whose", "--json"], `config.yaml:3: api_key: "${key}"\n${key}\n`);
    expect(found).toEqual({ exitCode: 0, stdout: expect.any(String), stderr: "" });
    expect(JSON.parse(found.stdout)).toMatchObject({ key: `sk_test_…${token.keyHint}`, token: { id: token.id } });
    const bytes = Buffer.concat(sent);
    expect(bytes.includes(createHash("sha256").update(key).digest())).toBe(true);
    expect(bytes.includes(key.slice(8, 40))).toBe(false);
    expect(found.stdout).not.toContain(key.slice(8, 40));

    const shown = await runTokenctl(profile, ["whose"], key);
    expect(shown.stdout).toMatch(/^account +acct_leak$/m);
  });

  it("says no to a key that nobody has, and to a text without a whole key", async () => {
    const unknown = await runTokenctl(profile, ["whose"], unknownKey);
    expect(unknown).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("1 whole keys, and 0 of them") });
    expect(unknown.stdout).toMatch(/^key +rk_live_…j8Fb\nisKnown +false\n$/);
    for (const input of ["", "sk_live_short", `${unknownKey.slice(0, -1)}c`, `${unknownKey}x`]) {
      expect(await runTokenctl(profile, ["whose"], input)).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: expect.stringContaining("the input has 0 whole keys"),
      });
    }
    const tooLong = await runTokenctl(profile, ["whose"], "k".repeat(11_000_000));
    expect(tooLong).toEqual({ exitCode: 2, stdout: "", stderr: "tokenctl: the input exceeds 10 MB\n" });
  });

  it("gets a token, and lists by every filter", async () => {
    const { token } = await create("acct_list", "--mode", "live", "--expires", "2100-01-01");
    const shown = await tokenctl("get", token.id);
    expect(shown).toMatchObject({ exitCode: 0, stderr: "" });
    expect(shown.stdout).toMatch(/^expireTime +2100-01-01T00:00:00.000Z$/m);
    const filters = ["--account", "acct_list", "--type", "secret", "--type", "restricted", "--state", "active"];
    const more = ["--mode", "live", "--permission", "events:write", "--name-contains", "till", "--hint", token.keyHint];
    const times = ["--created-from", "1h", "--created-before", "0d", "--expires-before", "2100-01-01T00:00:01Z"];
    const found = await json(
      "list",
      ...filters,
      ...more,
      ...times,
      "--created-by",
      "local",
      "--unused-since",
      "0d",
      "--held",
      "no",
      "--rotating",
      "no",
      "--expires-from",
      "1d",
    );
    expect(found.map(({ id }) => id)).toEqual([token.id]);
    expect(await json("list", "--account", "acct_list", "--expires-before", "2100-01-01")).toEqual([]);
    const failed = await tokenctl("list", "--hint", "abc");
    expect(failed).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining("key_hint") });
    expect((await tokenctl("list", "--account", "acct_nobody")).stdout).toMatch(/^id +account .*\n$/);
    const table = await tokenctl("list", "--account", "acct_list");
    const [head = "", row = ""] = table.stdout.split("\n");
    expect(row.indexOf("acct_list")).toBe(head.indexOf("account"));
    expect(row.indexOf("Till")).toBe(head.indexOf("name"));
  });

  it("lists what expires soon", async () => {
    const soon = await create("acct_soon", "--expires", "12h");
    await create("acct_soon", "--expires", "40d");
    expect(await json("expiring", "--account", "acct_soon")).toMatchObject([{ id: soon.token.id }]);
    expect(await json("expiring", "--account", "acct_soon", "--within", "11h")).toEqual([]);
  });

  it("counts the tokens of accounts", async () => {
    await create("acct_count");
    expect(await json("accounts", "acct_cou")).toMatchObject([{ account: "acct_count", activeCount: 1 }]);
    expect((await tokenctl("accounts", "acct_cou")).stdout).toMatch(
      /^account +state +activeCount.*\nacct_count +active +1/,
    );
  });

  it("revokes a token", async () => {
    const { token } = await create("acct_revoke");
    const [revoked] = await json("revoke", token.id, "--reason", "found in a public repository");
    expect(revoked).toMatchObject({ token: { state: "revoked", revokeReason: "found in a public repository" } });
    const again = await tokenctl("revoke", token.id);
    expect(again.stdout).toMatch(new RegExp(`^revision +${revoked.revision}$`, "m"));
  });

  it("rotates a key: the new key is all of standard output, and the old one lives on for the overlap", async () => {
    const { token, key } = await create("acct_rotate");
    const { stdout, stderr, exitCode } = await tokenctl("rotate", token.id, "--overlap", "1h");
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringMatching(/^sk_test_[0-9A-Za-z]{38}\n$/) });
    expect(stderr).toMatch(/^keys +{ hint: '\w{4}', .*endTime: null.*\nkeys +{ hint: '\w{4}', .*endTime: 2.*$/m);
    expect(stderr).not.toMatch(anyKey);
    const [rotated] = await json("get", token.id);
    expect(rotated.keys.map(({ hint }: { hint: string }) => hint)).toEqual([stdout.trim().slice(-4), key.slice(-4)]);
    expect(await json("list", "--account", "acct_rotate", "--rotating", "yes")).toHaveLength(1);

    const [moved] = await json("end-rotation", token.id, "2h");
    expect(Date.parse(moved.token.keys[1].endTime)).toBeGreaterThan(Date.now() + 7_000_000);
    const [cut] = await json("end-rotation", token.id, "now");
    expect(Date.parse(cut.token.keys[1].endTime)).toBeLessThanOrEqual(Date.now());
    expect(await tokenctl("end-rotation", token.id, "1h")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("ROTATION_NOT_UNDER_WAY"),
    });
    const found = await runTokenctl(profile, ["whose", "--json"], key);
    expect(JSON.parse(found.stdout)).toMatchObject({ token: { id: token.id } });
    await json("rotate", token.id, "--overlap", "10m");
    const [cancelled] = await json("end-rotation", token.id, "cancel");
    expect(cancelled.token.keyHint).toBe(stdout.trim().slice(-4));
    for (const wrong of [
      ["rotate", token.id],
      ["rotate", token.id, "--overlap", "soon"],
      ["end-rotation", token.id, "soon"],
    ]) {
      expect(await tokenctl(...wrong)).toMatchObject({ exitCode: 2, stdout: "" });
    }
  });

  it("holds and releases a token, and an account", async () => {
    const { token } = await create("acct_hold");
    expect(await json("hold", token.id, "--reason", "looked at")).toMatchObject([
      { token: { id: token.id, held: true }, account: null },
    ]);
    const held = await json("hold", "--account", "acct_hold");
    expect(held).toMatchObject([{ account: { account: "acct_hold", state: "held", activeCount: 1 } }]);
    expect(await json("list", "--account", "acct_hold", "--held", "yes")).toMatchObject([{ accountState: "held" }]);
    expect((await tokenctl("list", "--account", "acct_hold")).stdout).toMatch(/ active +true +held /);
    expect((await tokenctl("accounts", "acct_hold")).stdout).toMatch(/^account +state .*\nacct_hold +held /);
    expect(await json("release", token.id)).toMatchObject([{ token: { held: false } }]);
    expect(await json("release", "--account", "acct_hold")).toMatchObject([{ account: { state: "active" } }]);
    for (const wrong of [["hold"], ["hold", token.id, "--account", "acct_hold"]]) {
      expect(await tokenctl(...wrong)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("--account") });
    }
  });

  it("closes an account when it is told yes, and not otherwise", async () => {
    await create("acct_close");
    expect(await tokenctl("close", "acct_close")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^activeCount +1$[\s\S]*without a terminal, say --yes/m),
    });
    expect(await json("accounts", "acct_close")).toMatchObject([{ state: "active" }]);
    const closed = await json("close", "acct_close", "--yes", "--reason", "fraud");
    expect(closed).toMatchObject([{ account: { account: "acct_close", state: "closed" } }]);
    const late = await tokenctl("create", "--account", "acct_close", "--name", "Late", "--type", "secret");
    expect(late).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining("ACCOUNT_CLOSED") });
  });

  it("purges what a dry run has counted, and nothing that is newer", async () => {
    const [old, other] = [await create("acct_purge"), await create("acct_purge")];
    const filter = ["--account", "acct_purge", "--type", "secret"];
    const [dry] = await json("purge", ...filter, "--dry-run");
    expect(dry).toEqual({ matched: 2, upToRevision: other.revision, sampleIds: [other.token.id, old.token.id] });
    const asked = await tokenctl("purge", ...filter);
    expect(asked).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("say --up-to-revision") });
    const newer = await create("acct_purge");
    const purge = ["purge", ...filter, "--up-to-revision", String(dry.upToRevision)];
    expect(await json(...purge, "--dry-run")).toMatchObject([{ matched: 3 }]);
    const settled = { upToRevision: dry.upToRevision, acknowledgedCount: 0, silent: [], unconfirmed: [] };
    expect(await json(...purge, "--reason", "a leaked backup")).toEqual([{ revoked: 2, done: true, ...settled }]);
    expect(await json(...purge)).toEqual([{ revoked: 0, done: true, ...settled }]);
    expect(await json("list", "--account", "acct_purge", "--state", "active")).toMatchObject([{ id: newer.token.id }]);
    expect(await json("get", old.token.id)).toMatchObject([{ revokeReason: "a leaked backup" }]);
    expect(await tokenctl("purge", "--dry-run")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("filter"),
    });
  });

  it("asks on a terminal before it closes or purges", async (context) => {
    context.skip(spawnSync("script", ["--version"]).status !== 0, "needs util-linux' script, for a terminal");
    await create("acct_ask");
    const onTerminal = (command: string, answer: string) => answerOnTerminal(profile, command, answer);
    expect(await onTerminal("purge --account acct_ask", "no")).toMatch(/matched +1\s+Revoke[\s\S]*nothing was changed/);
    expect(await onTerminal("close acct_ask", "acct_asl")).toContain("nothing was changed");
    expect(await json("accounts", "acct_ask")).toMatchObject([{ state: "active", activeCount: 1 }]);
    expect(await onTerminal("purge --account acct_ask", "yes")).toMatch(/revoked +1/);
    expect(await onTerminal("close acct_ask", "acct_ask")).toMatch(/state +closed/);
  });

  it("tells what was done, and goes on telling", async () => {
    const { token, revision } = await create("acct_tail");
    await using tail = followTail(profile, ["--account", "acct_tail", "--after", "0"]);
    expect(await tail.next()).toMatchObject({
      revision,
      action: "create",
      tokenId: token.id,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    await tokenctl("revoke", token.id, "--reason", "lost");
    const revoked = await tail.next();
    expect(revoked).toMatchObject({ action: "revoke", caller: "local", reason: "lost" });
    expect(await json("tail", "--once", token.id)).toHaveLength(2);
    expect(await json("tail", "--once", token.id, "--after", String(revision))).toEqual([revoked]);
    const beyond = await tokenctl("tail", "--once", "--after", "999999");
    expect(beyond).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("after_revision") });
    const table = await tokenctl("tail", "--once", token.id);
    expect(table.stdout).toMatch(/^revision +changeTime.*\n\d+ .* create .*\n\d+ .* revoke .* lost\n$/);
  });

  it("tells a refusal with its reason and field, for people and for machines", async () => {
    const args = ["create", "--account", "no such name!", "--name", "Till", "--type", "secret"];
    const refused = await tokenctl(...args);
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^tokenctl: INVALID_ARGUMENT \(FIELD_INVALID\): .*account/m);
    const machine = await tokenctl(...args, "--json");
    const [, error = ""] = machine.stderr.split("\n");
    expect(JSON.parse(error)).toMatchObject({ error: { reason: "FIELD_INVALID", field: "account" } });
    const missing = await tokenctl("get", `tok_${"0".repeat(20)}`);
    expect(missing).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("TOKEN_NOT_FOUND") });
  });

  it("answers a mistake of usage with 2, and asks nothing", async () => {
    for (const args of [["lisst"], ["get"], ["list", "--type", "special"], ["list"]]) {
      const ended = await runTokenctl(join(directory.path, "nowhere.json"), args);
      expect(ended).toEqual({ exitCode: 2, stdout: "", stderr: expect.stringMatching(/^tokenctl: .+\n$/) });
    }
  });

  it("takes no key as an argument, and repeats none", async () => {
    const { key } = await create("acct_argument");
    for (const args of [["whose", key], ["list", "--name", key], [key], ["create", `--name=${key.slice(0, 30)}`]]) {
      const { exitCode, stdout, stderr } = await tokenctl(...args);
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
      expect(stderr).toContain("give keys on standard input");
      expect(stderr).not.toContain(key.slice(8, 24));
    }
  });

  it("shows a key in the output of create, and in no other", async () => {
    const { token, key } = await create("acct_canary");
    const runs: Ended[] = [await runTokenctl(profile, ["whose"], key)];
    for (const args of [["list"], ["get", token.id], ["expiring"], ["accounts"], ["revoke", token.id], ["help"]]) {
      runs.push(await tokenctl(...args), await tokenctl(...args, "--json"));
    }
    const said = runs.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    expect(said).toContain(token.id);
    expect(said).not.toMatch(anyKey);
    expect(said).not.toContain(key.slice(8, 40));
    expect(authority.stdout).not.toContain(key.slice(8, 40));
  });

  it("ends quietly when nobody reads on", async () => {
    const tokens = clientOf(address);
    const facts = { account: "acct_many", name: "x".repeat(100), type: TokenType.SECRET };
    await Promise.all(Array.from({ length: 400 }, () => tokens.create(facts)));
    const child = spawn(process.execPath, [program, "list", "--json"], { env: { TOKENCTL_PROFILE: profile } });
    await once(child.stdout, "data");
    child.stdout.destroy();
    const [said, [exitCode]] = await Promise.all([text(child.stderr), once(child, "exit")]);
    expect({ said, exitCode }).toEqual({ said: "", exitCode: 0 });
  });

  it("says how to get a key again that could not be written", async () => {
    const args = ["create", "--account", "acct_full", "--name", "Till", "--type", "secret", "--expires", "1d"];
    const full = openSync("/dev/full", "w");
    const options = { env: { TOKENCTL_PROFILE: profile }, encoding: "utf8" } as const;
    const lost = spawnSync(process.execPath, [program, ...args], { ...options, stdio: ["ignore", full, "pipe"] });
    expect(lost.status).toBe(1);
    const [, id = "", expires = ""] =
      /--request-id (\S+) --expires (\S+) answers the same key, within 24 hours/.exec(lost.stderr) ?? [];
    const again = await tokenctl(...args.slice(0, -2), "--request-id", id, "--expires", expires);
    expect(again.stdout).toMatch(/^sk_test_\w{38}\n$/);
    expect(await json("list", "--account", "acct_full")).toHaveLength(1);
    const intoNothing = ["-c", '"$@" | true; exit $PIPESTATUS', "bash", process.execPath, program, ...args];
    const unread = spawnSync("bash", intoNothing, options);
    expect(unread).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/--request-id \S+ --expires \S+ answers/),
    });
  });

  it("gives out the key where its words cannot be written", async () => {
    const args = [program, "create", "--account", "acct_mute", "--name", "Till", "--type", "secret"];
    const full = openSync("/dev/full", "w");
    const options = { env: { TOKENCTL_PROFILE: profile }, encoding: "utf8" } as const;
    const mute = spawnSync(process.execPath, args, { ...options, stdio: ["ignore", "pipe", full] });
    expect({ status: mute.status, stdout: mute.stdout.replace(/\w{38}\n/, "…") }).toEqual({
      status: 0,
      stdout: "sk_test_…",
    });
  });

  it("reads a key from a terminal without showing it", async (context) => {
    context.skip(spawnSync("script", ["--version"]).status !== 0, "needs util-linux' script, for a terminal");
    const { key, token } = await create("acct_terminal");
    const shown = await answerOnTerminal(profile, "whose", key);
    expect(shown).toContain(token.id);
    expect(shown).not.toContain(key.slice(8, 40));
  });

  it("completes commands, options and values in bash", async () => {
    const { stdout: script } = await tokenctl("completion");
    const complete = (...words: readonly string[]) => {
      const asked = `COMP_WORDS=(tokenctl ${words.join(" ")} "") COMP_CWORD=${words.length}; COMP_WORDS[COMP_CWORD]=$0`;
      const end = `${asked}; _tokenctl; echo "\${COMPREPLY[@]}"`;
      return spawnSync("bash", ["-c", `${script}\n${end}`, words.at(-1) ?? ""], { encoding: "utf8" }).stdout.trim();
    };
    expect(complete("exp")).toBe("expiring");
    expect(complete("revoke", "--re")).toBe("--reason");
    expect(complete("list", "--state", "rev")).toBe("revoked");
  });

  it("is a program that any Node starts, with help and a version", async () => {
    const bin = resolve(program, "../tokenctl.js");
    const version = spawnSync(bin, ["version", "--json"], { encoding: "utf8" });
    const { version: expected } = JSON.parse(readFileSync(resolve(program, "../../package.json"), "utf8"));
    expect(JSON.parse(version.stdout)).toMatchObject({ version: expected, node: process.version });
    const { stdout: overview } = await tokenctl();
    expect(overview).toMatch(/^revoke ID\n {2}Ends a token/m);
    for (const asked of [
      ["list", "--help"],
      ["help", "list"],
    ]) {
      expect((await tokenctl(...asked)).stdout).toMatch(/^list\n {2}Tokens.*\n {2}--account ACCOUNT/);
    }
  });
});

describe("tail", () => {
  it("rides out a restart of the authority, and leaves out no change", async () => {
    using directory = temporaryDirectory();
    const address = `127.0.0.1:${await freePort()}`;
    await using before = new AuthorityProcess(directory.path, [], { TOKEN_AUTHORITY_LISTEN: address });
    await before.address();
    const profile = writeProfile(directory.path, { address });
    const tokens = clientOf(address);
    const facts = { account: "acct_1", name: "Till", type: TokenType.SECRET };
    await using tail = followTail(profile, ["--after", "0"]);
    await tokens.create(facts);
    expect((await tail.next()).revision).toBe(1);
    before.child.kill("SIGTERM");
    await before.ended();
    await using after = new AuthorityProcess(directory.path, [], { TOKEN_AUTHORITY_LISTEN: address });
    await after.address();
    await clientOf(address).create(facts);
    expect((await tail.next()).revision).toBe(2);
  });
});

describe("the profile of tokenctl", () => {
  it("names the files of mutual TLS, beside itself", async () => {
    using directory = temporaryDirectory();
    const path = (name: string) => join(directory.path, name);
    const ca = createAuthority();
    const [server, client] = [ca.issue(), ca.issue({ names: [{ uri: "spiffe://casapay/oncall" }] })];
    writeFileSync(path("ca.pem"), ca.certificatePem);
    for (const [name, { certificatePem, keyPem }] of Object.entries({ server, client })) {
      writeFileSync(path(`${name}.pem`), certificatePem);
      writeFileSync(path(`${name}.key`), keyPem, { mode: 0o600 });
    }
    writeFileSync(path("callers.json"), JSON.stringify({ "spiffe://casapay/oncall": "operator" }));
    await using authority = new AuthorityProcess(directory.path, [], {
      TOKEN_AUTHORITY_TLS_CERT: path("server.pem"),
      TOKEN_AUTHORITY_TLS_KEY: path("server.key"),
      TOKEN_AUTHORITY_TLS_CLIENT_CA: path("ca.pem"),
      TOKEN_AUTHORITY_CALLERS: path("callers.json"),
    });
    const files = { address: await authority.address(), ca: "ca.pem", cert: "client.pem", key: "client.key" };
    const list = async (changed: object = {}, mode = 0o600) => {
      const profile = writeProfile(directory.path, { ...files, serverName: "localhost", ...changed });
      chmodSync(profile, mode);
      return await runTokenctl(profile, ["list"]);
    };
    expect(await list()).toMatchObject({ exitCode: 0, stderr: "" });
    const wrong = [
      [{ key: undefined }, "ca, cert and key go together"],
      [{ key: "gone.key" }, "gone.key"],
      [{ password: "x" }, "no other names"],
      [{ address: 50051 }, "an object of texts"],
      [{ key: undefined, cert: undefined, ca: undefined }, "ca, cert and key go together"],
      [
        { ca: undefined, cert: undefined, key: undefined, serverName: undefined, address: "10.0.0.1:1" },
        "plaintext is for loopback",
      ],
    ] as const;
    for (const [changed, complaint] of wrong) {
      const { exitCode, stderr } = await list(changed);
      expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(complaint) });
    }
    expect(await list({}, 0o622)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("changed by others") });
    chmodSync(path("client.key"), 0o640);
    expect(await list()).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("read by others") });
    chmodSync(path("client.key"), 0o600);
    const stranger = ca.issue({ names: [{ uri: "spiffe://casapay/nobody" }] });
    writeFileSync(path("client.pem"), stranger.certificatePem);
    writeFileSync(path("client.key"), stranger.keyPem);
    expect(await list()).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("CALLER_UNKNOWN") });
  });
});

describe("while the authority is down", () => {
  it("every command says that nothing was decided, and none that a key is bad", async () => {
    using directory = temporaryDirectory();
    const profile = writeProfile(directory.path, { address: "127.0.0.1:1" });
    const id = `tok_${"0".repeat(20)}`;
    const create = ["create", "--account", "acct_1", "--name", "Till", "--type", "secret"];
    const runs = await Promise.all(
      [["whose"], ["list"], ["revoke", id], create].map((args) => runTokenctl(profile, args, unknownKey)),
    );
    for (const { exitCode, stdout, stderr } of runs) {
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      expect(stderr).toMatch(/^tokenctl: not decided, no answer: UNAVAILABLE: .*ECONNREFUSED 127\.0\.0\.1:\d+$/m);
      expect(stderr).not.toMatch(/no token|not found|unknown|bad key|whole key/i);
    }
    expect(runs.at(-1)?.stderr).toMatch(/^The same command with --request-id \S+ answers/);
  });
});
