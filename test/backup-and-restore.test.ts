import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityProcess, clientOf, program, temporaryDirectory } from "./support/authority-process.ts";
import { needs } from "./support/needs.ts";

const newKey = { account: "acct_1", name: "a key", type: TokenType.SECRET };
const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";

type Issued = { readonly key: string; readonly id: string };

/**
 * What one authority left behind: a backup, made while it served, of two live keys and one that was revoked; then
 * `leaked` was revoked, one more key was created and revoked, and the process killed.
 */
type Scene = ReturnType<typeof temporaryDirectory> & {
  readonly backup: string;
  readonly log: string;
  /** Its standard output. */
  readonly lines: string;
  readonly leaked: Issued;
  readonly kept: Issued;
};

let scene: Scene;

beforeAll(async () => {
  scene = await setScene();
});

afterAll(() => scene[Symbol.dispose]());

async function setScene(): Promise<Scene> {
  const here = temporaryDirectory();
  await using authority = new AuthorityProcess(here.path);
  const tokens = clientOf(await authority.address());

  async function issue(more = {}): Promise<Issued> {
    const { token, key } = await tokens.create({ ...newKey, ...more });
    return { key, id: token?.id ?? "" };
  }

  const leaked = await issue();
  const kept = await issue({ requestId });
  await tokens.revoke({ id: (await issue()).id });
  await run(here.path, "backup", "data", "backup.db");
  await tokens.revoke({ id: leaked.id, reason: "found in a repository" });
  await tokens.revoke({ id: (await issue()).id });
  await authority.logged(/"revision":7[,}]/);
  authority.child.kill("SIGKILL");
  await authority.ended();
  const [backup, log] = [join(here.path, "backup.db"), join(here.path, "data", "revocations.log")];
  return { ...here, backup, log, lines: authority.stdout, leaked, kept };
}

/** Runs a command that must succeed, and returns what it printed. */
async function run(directory: string, ...args: readonly string[]): Promise<string> {
  await using process = new AuthorityProcess(directory, args);
  const exitCode = await process.ended();
  if (exitCode !== 0) {
    throw new Error(`it ended with ${exitCode}: ${process.stderr}`);
  }
  return process.stdout;
}

/** Runs a command, or a start, that must be refused, and returns its one line. */
async function refusalOf(directory: string, ...args: readonly string[]): Promise<string> {
  await using process = new AuthorityProcess(directory, args);
  expect(await process.ended()).toBe(2);
  expect(process.stderr.trim().split("\n")).toHaveLength(1);
  return process.stderr.trim();
}

async function verdictOf(address: string, key: string): Promise<string | RefusalReason> {
  const { outcome } = await clientOf(address).authenticate({ key });
  return outcome.case === "refusal" ? outcome.value.reason : String(outcome.case);
}

describe("a backup", () => {
  it("is private, whole, and says what it holds", async () => {
    using here = temporaryDirectory();
    cpSync(join(scene.path, "data"), join(here.path, "data"), { recursive: true });
    const output = await run(here.path, "backup", "data", "copy.db");
    expect(output).toMatch(/copy\.db is whole, up to 7:[0-9a-f]{64}\n$/);
    expect(statSync(join(here.path, "copy.db")).mode & 0o777).toBe(0o600);
    expect(readdirSync(here.path).toSorted()).toEqual(["copy.db", "data"]);
  });

  it("holds no sealed key", () => {
    const database = readFileSync(join(scene.path, "data", "tokens.db"));
    const wal = readFileSync(join(scene.path, "data", "tokens.db-wal"));
    // A slot: its length, and what is sealed.
    const slot = [database, wal].map((bytes) => slotIn(bytes)).find((found) => found !== null);
    expect(slot).toBeDefined();
    expect(readFileSync(scene.backup).includes(slot ?? "")).toBe(false);
  });

  it("overwrites nothing", async () => {
    const before = readFileSync(scene.backup);
    expect(await refusalOf(scene.path, "backup", "data", "backup.db")).toMatch(/backup\.db exists/);
    expect(readFileSync(scene.backup)).toEqual(before);
  });

  it.each([
    ["a directory without a database", ["backup", "nowhere", "b.db"], "there is no database of a token authority"],
    ["a place that does not exist", ["backup", "data", "none/b.db"], "none does not exist"],
    ["no place", ["backup", "data"], "usage: npm run backup -- DATA_DIR FILE"],
    ["options of another command", ["backup", "data", "b.db", "--head", "1:2"], "usage: npm run backup"],
  ])("is refused with one line for %s", async (_what, args, line) => {
    expect(await refusalOf(scene.path, ...args)).toContain(line);
    expect(readdirSync(scene.path)).not.toContain("b.db");
  });

  it("is not made of a damaged database", async () => {
    using here = temporaryDirectory();
    cpSync(join(scene.path, "data"), join(here.path, "data"), { recursive: true });
    await run(here.path, "backup", "data", "whole.db");
    const file = join(here.path, "data", "tokens.db");
    const bytes = readFileSync(file);
    // The last pages hold the newest rows.
    bytes.fill(0x5a, bytes.length - 4096 * 2);
    writeFileSync(file, bytes);
    rmSync(`${file}-wal`, { force: true });
    expect(await refusalOf(here.path, "backup", "data", "bad.db")).toMatch(/damaged|malformed|at fault/);
    expect(readdirSync(here.path).toSorted()).toEqual(["data", "whole.db"]);
  });

  it("is not served when it is put into a data directory as it is", async () => {
    using here = temporaryDirectory();
    cpSync(scene.backup, join(here.path, "data", "tokens.db"), { recursive: true });
    expect(await refusalOf(here.path)).toMatch(/tokens\.db is a backup, .*npm run restore/);
  });
});

describe("a restore", () => {
  /** Expects a served store that refuses what was revoked. */
  async function expectRestored(directory: string): Promise<void> {
    await using restored = new AuthorityProcess(directory);
    const address = await restored.address();
    expect(await verdictOf(address, scene.leaked.key)).toBe(RefusalReason.TOKEN_REVOKED);
    expect(await verdictOf(address, scene.kept.key)).toBe("principal");
    await expect(clientOf(address).create({ ...newKey, requestId })).rejects.toThrow(
      /FAILED_PRECONDITION|failed_precondition/,
    );
    expect(await run(directory, "verify-journal", "data")).toMatch(/^the journal is whole, up to 5:/);
    const log = readFileSync(join(directory, "data", "revocations.log"), "utf8");
    expect(log).toContain(scene.leaked.id);
    expect(log).toContain('"caller":"restore:local"');
  }

  it("is refused without a word on what was revoked since, and leaves nothing behind", async () => {
    using here = temporaryDirectory();
    expect(await refusalOf(here.path, "restore", scene.backup, "data")).toMatch(
      /those keys would live again: .*--revocations FILE.*--accept-lost-revocations/,
    );
    expect(existsSync(join(here.path, "data"))).toBe(false);
  });

  it("with the revocation log refuses the key that was revoked since", async () => {
    using here = temporaryDirectory();
    const output = await run(here.path, "restore", scene.backup, "data", "--revocations", scene.log);
    expect(output).toContain(
      "revoked again: 1; ended, held or closed again: 0; known already: 0; of tokens created after the backup, which are lost: 1",
    );
    expect(output).toContain("the files reach revision 7");
    await expectRestored(here.path);
    expect(readFileSync(join(here.path, "data", "revocations.log"), "utf8")).toContain("found in a repository");
  });

  it("with the log lines of changes, among others and behind what a collector puts before them, does the same", async () => {
    using here = temporaryDirectory();
    const prefixed = scene.lines.replace(/^/gm, "Nov 24 10:00:00 host authority[7]: ");
    writeFileSync(join(here.path, "lines"), `{"half a line\n${prefixed}\nnothing\n{}\n[]\nnull\n{null}`);
    const output = await run(here.path, "restore", scene.backup, "data", "--revocations", "lines");
    expect(output).toContain("revoked again: 1;");
    await expectRestored(here.path);
  });

  it("with log lines as Docker wraps them does the same, and is refused where somebody has printed them prettily", async () => {
    using here = temporaryDirectory();
    const lines = scene.lines.trim().split("\n");
    const wrapped = lines.map((line) =>
      JSON.stringify({ log: `${line}\n`, stream: "stdout", time: "2026-11-28T10:00:00Z" }),
    );
    const pretty = lines.map((line) => JSON.stringify(JSON.parse(line), null, 2));
    writeFileSync(join(here.path, "wrapped"), wrapped.join("\n"));
    writeFileSync(join(here.path, "pretty"), pretty.join("\n"));
    const order = ["restore", scene.backup, "data", "--revocations"];
    expect(await refusalOf(here.path, ...order, "pretty")).toMatch(
      /^pretty, line \d+: tells of a change and cannot be read/,
    );
    expect(await run(here.path, ...order, "wrapped")).toContain("revoked again: 1;");
    await expectRestored(here.path);
  });

  it("does not take why a call failed for why its token was revoked", async () => {
    using here = temporaryDirectory();
    const revoked = /^.*TokenService\/Revoke".*"revision":5,/m;
    expect(scene.lines).toMatch(revoked);
    const lines = scene.lines.replace(revoked, (line) =>
      line.replace('"code":"OK"', '"code":"CANCELLED","reason":"CALL_CANCELED"'),
    );
    writeFileSync(join(here.path, "lines"), lines);
    await run(here.path, "restore", scene.backup, "data", "--revocations", "lines", scene.log);
    await using restored = new AuthorityProcess(here.path);
    const { token } = await clientOf(await restored.address()).get({ id: scene.leaked.id });
    expect(token?.revokeReason).toBe("found in a repository");
  });

  it("with --accept-lost-revocations brings the key back to life, and says so", async () => {
    using here = temporaryDirectory();
    const output = await run(here.path, "restore", scene.backup, "data", "--accept-lost-revocations");
    expect(output).toContain("keys that were revoked after the backup live again");
    expect(output.match(/^may live again: .*$/gm)).toEqual(
      [scene.leaked, scene.kept].map(({ id }) => `may live again: ${id} of acct_1`),
    );
    await using restored = new AuthorityProcess(here.path);
    const address = await restored.address();
    expect(await verdictOf(address, scene.leaked.key)).toBe("principal");
    expect(await verdictOf(address, scene.kept.key)).toBe("principal");
  });

  it("is refused when a line is missing, and names the revision", async () => {
    using here = temporaryDirectory();
    const lines = readFileSync(scene.log, "utf8").split(/(?<=\n)/);
    const without = lines.filter((line) => !line.includes(scene.leaked.id));
    writeFileSync(join(here.path, "log"), without.join(""));
    const order = ["restore", scene.backup, "data", "--revocations", "log"];
    expect(await refusalOf(here.path, ...order)).toMatch(/no file says what revision 5 was/);
    expect(readdirSync(join(here.path, "data"))).not.toContain("tokens.db");
    const output = await run(here.path, ...order, "--accept-lost-revocations");
    expect(output).toContain("not known: revisions 5 to 5");
    expect(output).toContain(`may live again: ${scene.leaked.id} of acct_1\n`);
  });

  it("is refused when the last line is cut off or edited, and names it", async () => {
    using here = temporaryDirectory();
    const whole = readFileSync(scene.log, "utf8").trim().split("\n").slice(0, 4);
    expect(whole.at(-1)).toContain(scene.leaked.id);
    const spoilt = [
      [/"\}$/, ""],
      [/"time":\d+/, '"time":null'],
      [/"time":\d+/, '"time":1.5'],
      [/"token_id":"tok_/, '"token_id":"'],
      [/"after":\d+/, '"after":99'],
      [/"hash":"./, '"hash":"'],
    ] as const;
    const order = ["restore", scene.backup, "data", "--revocations", "log"];
    for (const [what, by] of spoilt) {
      writeFileSync(join(here.path, "log"), [...whole.slice(0, -1), whole.at(-1)?.replace(what, by)].join("\n"));
      expect(await refusalOf(here.path, ...order)).toMatch(/^log, line 4: tells of a change and cannot be read/);
    }
    expect(await run(here.path, ...order, "--accept-lost-revocations")).toContain("not read: log, line 4");
  });

  it("is refused when the log at its place grows while it is read, and leaves it there", async () => {
    using here = temporaryDirectory();
    mkdirSync(join(here.path, "data"), { mode: 0o700 });
    const log = join(here.path, "data", "revocations.log");
    cpSync(scene.log, log);
    execFileSync("mkfifo", [join(here.path, "more")]);
    const refused = refusalOf(here.path, "restore", scene.backup, "data", "--revocations", log, "more");
    // Opened once the restore reads it, which is after the log.
    const more = await open(join(here.path, "more"), "w");
    appendFileSync(log, "one more\n");
    await more.appendFile(readFileSync(scene.log));
    await more.close();
    expect(await refused).toContain("has changed since it was read");
    expect(readdirSync(join(here.path, "data")).sort()).toEqual(["lock.db", "revocations.log"]);
  });

  it("that cannot make the marker leaves the log at its place", async () => {
    using here = temporaryDirectory();
    mkdirSync(join(here.path, "data"), { mode: 0o700 });
    const log = join(here.path, "data", "revocations.log");
    cpSync(scene.log, log);
    const order = ["restore", scene.backup, "data", "--revocations", log];
    await using restoring = new AuthorityProcess(here.path, order, { TOKEN_AUTHORITY_MARKER: "none/marker" });
    expect(await restoring.ended()).toBe(2);
    expect(restoring.stderr).toMatch(/the marker .*none\/marker cannot be made \(ENOENT\)/);
    expect(readFileSync(log)).toEqual(readFileSync(scene.log));
    expect(readdirSync(join(here.path, "data")).sort()).toEqual(["lock.db", "revocations.log"]);
  });

  it("that cannot move a log leaves both where they can be found, and says where", async (context) => {
    needs(context, "strace", "-e", "inject=rename:error=EBUSY:when=1", "true");
    using here = temporaryDirectory();
    mkdirSync(join(here.path, "data"), { mode: 0o700 });
    const log = join(here.path, "data", "revocations.log");
    cpSync(scene.log, log);
    const restoring = (unmovable: string) => {
      const fault = ["-P", unmovable, "-e", "trace=rename", "-e", "inject=rename:error=EBUSY"];
      const order = ["restore", scene.backup, "data", "--revocations", log];
      const command = ["-f", "-o", "/dev/null", ...fault, process.execPath, program, ...order];
      return spawnSync("strace", command, { cwd: here.path, env: { PATH: process.env.PATH }, encoding: "utf8" });
    };
    expect(restoring(log)).toMatchObject({ status: 2, stderr: expect.stringContaining("EBUSY") });
    expect(readFileSync(log)).toEqual(readFileSync(scene.log));
    expect(readdirSync(join(here.path, "data")).sort()).toEqual(["lock.db", "revocations.log"]);
    const { stdout, status } = restoring(`${log}.unfinished`);
    expect({ stdout, status }).toEqual({
      stdout: expect.stringContaining(
        `the new revocation log is ${log}.unfinished and cannot be moved to its place (EBUSY)`,
      ),
      status: 0,
    });
    await using authority = new AuthorityProcess(here.path);
    expect(await verdictOf(await authority.address(), scene.leaked.key)).toBe(RefusalReason.TOKEN_REVOKED);
    expect(readFileSync(log, "utf8")).toContain(scene.leaked.id);
  });

  it("is refused when the files end before the backup, or are of another installation", async () => {
    using here = temporaryDirectory();
    const lines = readFileSync(scene.log, "utf8").split(/(?<=\n)/);
    writeFileSync(join(here.path, "old"), lines.slice(0, 2).join(""));
    expect(await refusalOf(here.path, "restore", scene.backup, "data", "--revocations", "old")).toMatch(
      /the files end at revision 1, before the backup's 4/,
    );
    using elsewhere = temporaryDirectory();
    const other = await setScene();
    using _other = other;
    const order = ["restore", scene.backup, "data", "--revocations"];
    expect(await refusalOf(elsewhere.path, ...order, other.log)).toMatch(/revision \d is another one in the backup/);
    expect(await refusalOf(elsewhere.path, ...order, scene.log, other.log)).toMatch(/revision \d is another one in/);
    expect(await refusalOf(elsewhere.path, ...order, scene.backup)).toMatch(/no line is of a change that the backup/);
    expect(await refusalOf(elsewhere.path, ...order, "none")).toMatch(/none cannot be read \(ENOENT\)/);
  });

  it("is refused beside a running server, and over a database or what is left of one", async () => {
    using here = temporaryDirectory();
    await using served = new AuthorityProcess(here.path);
    await served.address();
    const order = ["restore", scene.backup, "data", "--accept-lost-revocations"];
    expect(await refusalOf(here.path, ...order)).toContain("in use by another process");
    served.child.kill("SIGKILL");
    await served.ended();
    expect(await refusalOf(here.path, ...order)).toMatch(/holds a database/);
    rmSync(join(here.path, "data", "tokens.db"));
    expect(await refusalOf(here.path, ...order)).toMatch(/tokens\.db-wal\): move it away/);
  });

  it("asks for the log at its place, and moves it aside", async () => {
    using here = temporaryDirectory();
    cpSync(join(scene.path, "data"), join(here.path, "data"), { recursive: true });
    for (const name of ["tokens.db", "tokens.db-wal", "tokens.db-shm"]) {
      rmSync(join(here.path, "data", name), { force: true });
    }
    writeFileSync(join(here.path, "lines"), scene.lines);
    const order = ["restore", scene.backup, "data", "--revocations"];
    expect(await refusalOf(here.path, ...order, "lines")).toMatch(/there is a revocation log: give it as well/);
    const output = await run(here.path, ...order, "lines", "data/revocations.log");
    expect(output).toMatch(/moved the revocation log of before to .*revocations\.log\.before-restore-/);
    await expectRestored(here.path);
  });

  it("takes only a backup, and one that is whole", async () => {
    using here = temporaryDirectory();
    const order = ["data", "--accept-lost-revocations"];
    writeFileSync(join(here.path, "text"), "no database".repeat(1000));
    expect(await refusalOf(here.path, "restore", "text", ...order)).toMatch(/^text is damaged, or no database/);
    const bytes = readFileSync(scene.backup);
    bytes.fill(0x5a, bytes.length - 4096 * 3);
    writeFileSync(join(here.path, "damaged"), bytes);
    expect(await refusalOf(here.path, "restore", "damaged", ...order)).toMatch(/damaged|malformed|at fault/);
    expect(await refusalOf(here.path, "restore", "none", ...order)).toMatch(/there is no backup none/);
    expect(readdirSync(join(here.path, "data"))).toEqual(["lock.db"]);
  });
});

it("an old copy of a database is not served beside the newer revocation log", async () => {
  using here = temporaryDirectory();
  await run(here.path, "restore", scene.backup, "data", "--accept-lost-revocations");
  cpSync(scene.log, join(here.path, "data", "revocations.log"));
  expect(await refusalOf(here.path)).toMatch(/tells of revision 7, which the database does not have/);
});

/** The first sealed key in a file: 128 bytes in one row, of which the first says how many count. */
function slotIn(bytes: Buffer): Buffer | null {
  // The header of a record of one NULL for the rowid and a blob of 128 bytes.
  const at = bytes.indexOf(Buffer.from([0x04, 0x00, 0x82, 0x0c]));
  return at === -1 ? null : bytes.subarray(at + 4, at + 60);
}
