import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, waitForPort } from "./ports.ts";
import { ownerRole, type Postgres, serverRole } from "./postgres.ts";
import { unpackDebianPackages } from "./tools.ts";

/** What Debian's pgbouncer needs beside what every machine has. */
const packages = ["pgbouncer", "libevent-2.1-7", "libc-ares2"];

/** A pgbouncer in session mode, which ends with the suite. */
export type Pgbouncer = AsyncDisposable & {
  url(role: string): string;
};

/**
 * Starts Debian's pgbouncer in front of the server. It is set up as it comes, and so refuses startup parameters that it
 * does not know.
 */
export async function startPgbouncer(server: Postgres): Promise<Pgbouncer> {
  const programs = await unpackDebianPackages(packages);
  const home = mkdtempDisposableSync(join(tmpdir(), "token-authority-pgbouncer-"));
  const port = await freePort();
  const users = join(home.path, "users");
  const config = join(home.path, "pgbouncer.ini");
  writeFileSync(users, [ownerRole, serverRole].map((role) => `"${role}" ""\n`).join(""));
  writeFileSync(
    config,
    `[databases]
tokens = host=127.0.0.1 port=${server.port} dbname=tokens
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = session
default_pool_size = 50
max_client_conn = 200
`,
  );
  chmodSync(home.path, 0o755);
  // It refuses to be root. Whoever it is reads only these two files.
  const nobody = 65_534;
  chownSync(home.path, nobody, nobody);
  const asNobody = process.getuid?.() === 0 ? [`--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"] : [];
  const child = spawn("setpriv", [...asNobody, "--pdeathsig=KILL", "--", "pgbouncer", config], {
    env: { ...process.env, PATH: `${programs.path}:${process.env.PATH}`, LD_LIBRARY_PATH: programs.libraryPath },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (data) => {
    said += data;
  });
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  await waitForPort(port, isRunning).catch((error) => {
    throw new Error(`pgbouncer does not run: ${said}`, { cause: error });
  });
  return {
    url: (role) => `postgres://${role}@127.0.0.1:${port}/tokens`,
    async [Symbol.asyncDispose]() {
      if (isRunning()) {
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      }
      home.remove();
    },
  };
}
