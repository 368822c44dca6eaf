import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { AuthorityProcess, clientOf, temporaryDirectory } from "./support/authority-process.ts";

const main = resolve(import.meta.dirname, "../src/main.ts");

/** Of a process that was stopped in good order, and of one that was killed with a change in its write-ahead log. */
let scene: ReturnType<typeof temporaryDirectory>;

beforeAll(async () => {
  scene = temporaryDirectory();
  await using authority = new AuthorityProcess(scene.path);
  await clientOf(await authority.address()).create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
  authority.child.kill("SIGKILL");
  await authority.ended();
  cpSync(join(scene.path, "data"), join(scene.path, "killed"), { recursive: true });
  await using again = new AuthorityProcess(scene.path);
  await again.address();
  again.child.kill("SIGTERM");
  await again.ended();
  cpSync(join(scene.path, "data"), join(scene.path, "stopped"), { recursive: true });
  cpSync(join(scene.path, "killed"), join(scene.path, "copied"), { recursive: true });
  rmSync(join(scene.path, "copied", "tokens.db-shm"));
});

afterAll(() => scene[Symbol.dispose]());

const kinds = ["stopped", "killed", "copied"] as const;

function look(directory: string, order: readonly string[], ...wrapper: readonly string[]) {
  const [command = "", ...parameters] = [...wrapper, process.execPath, main, ...order];
  return spawnSync(command, parameters, { cwd: directory, encoding: "utf8", timeout: 60_000 });
}

/** Every file with its content and the time of its last change, but for the index, which is made anew from the log. */
function picture(directory: string): readonly (readonly [string, string, number])[] {
  return readdirSync(directory)
    .toSorted()
    .map((name) => [
      name,
      name.endsWith("-shm") ? "" : readFileSync(join(directory, name)).toString("latin1"),
      name.endsWith("-shm") ? 0 : statSync(join(directory, name)).mtimeMs,
    ]);
}

it.each(kinds)(
  "verify-journal and backup change nothing of a directory that was %s, and leave nothing behind",
  (kind) => {
    using here = temporaryDirectory();
    const data = join(here.path, "data");
    cpSync(join(scene.path, kind), data, { recursive: true });
    const before = picture(data);
    expect(look(here.path, ["verify-journal", "data"])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^the journal is whole, up to 1:/),
    });
    expect(look(here.path, ["backup", "data", "backup.db"])).toMatchObject({ status: 0 });
    expect(picture(data)).toEqual(before);
    expect(readdirSync(here.path).toSorted()).toEqual(["backup.db", "data"]);
  },
);

it.for(kinds)("verify-journal and backup read what was %s on a medium that cannot be written", (kind, context) => {
  using here = temporaryDirectory();
  const data = join(here.path, "data");
  cpSync(join(scene.path, kind), data, { recursive: true });
  const script = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`;
  const readOnly = ["unshare", "-rm", "sh", "-c", script, data];
  context.skip(spawnSync("unshare", ["-rm", "true"]).status !== 0, "needs a working unshare");
  expect(look(here.path, ["verify-journal", "data"], ...readOnly)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^the journal is whole, up to 1:/),
    stderr: "",
  });
  expect(look(here.path, ["backup", "data", "backup.db"], ...readOnly)).toMatchObject({ status: 0, stderr: "" });
  expect(look(here.path, ["backup", "data", "data/backup.db"], ...readOnly)).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(
      /^.*data\/backup\.db\.unfinished-\d+ is on a file system that is read-only \(EROFS\).*\n$/,
    ),
  });
});

it("backup says in one line that this user may not write where the copy shall be", (context) => {
  context.skip(process.getuid?.() !== 0, "needs root, to become another user");
  using here = temporaryDirectory();
  const data = join(here.path, "data");
  cpSync(join(scene.path, "stopped"), data, { recursive: true });
  mkdirSync(join(here.path, "other"));
  chmodSync(here.path, 0o755);
  const finished = look(here.path, ["backup", "data", "other/b.db"], "setpriv", "--reuid=65534", "--clear-groups");
  expect(finished).toMatchObject({ status: 2, stderr: expect.stringMatching(/^.*\(EACCES\).*\n$/) });
});
