import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { StartError } from "./authority/errors.ts";
import { isCommand, runCommand } from "./commands.ts";
import { describeSettings, readConfig } from "./config.ts";
import { memoryLimitBytes } from "./memory-limit.ts";
import { startServer } from "./server.ts";

const usage = `The CasaPay token authority: issues API keys and decides on them.

  npm start                                  serves, as these settings in the environment say
  npm run verify-journal -- DATA_DIR [--head REVISION:HASH]
                                             checks the journal, also beside a running server
  npm run backup -- DATA_DIR FILE            copies the database, also beside a running server
  npm run restore -- BACKUP DATA_DIR --revocations FILE… | --accept-lost-revocations
                                             makes a database of a backup and what was revoked since

Settings:
${describeSettings()}

Signals: SIGTERM and SIGINT end it in good order, a second one at once; SIGHUP reads certificates and callers again.
`;

/** Does what the arguments say: serves, or runs a command. */
export async function run(process: NodeJS.Process): Promise<void> {
  const args = process.argv.slice(2);
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        head: { type: "string" },
        revocations: { type: "string", multiple: true },
        "accept-lost-revocations": { type: "boolean" },
      },
    });
    const [command] = positionals;
    if (values.help) {
      process.stdout.write(usage);
    } else if (isCommand(command)) {
      const { output, exitCode } = await runCommand(command, positionals.slice(1), values, process);
      process.stdout.write(output);
      process.exitCode = exitCode;
    } else if (command !== undefined || Object.keys(values).length > 0) {
      throw new StartError("these arguments mean nothing here: see --help");
    } else {
      await serve(process);
    }
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(2);
  }
}

async function serve(process: NodeJS.Process): Promise<void> {
  const config = readConfig(process.env, memoryLimitBytes(process));
  const isFirstStart = !existsSync(join(config.dataDirectory, "tokens.db"));
  const log = pino({ level: config.logLevel, base: { pid: process.pid } });
  let isEnding = false;

  function end(exitCode: number, why: object): void {
    if (isEnding) {
      process.exit(1);
    }
    isEnding = true;
    log.info(why, "stopping");
    // What is still starting is ended once it has.
    starting
      .then((server) => server[Symbol.asyncDispose]())
      .then(
        () => {
          log.info({ exitCode }, "stopped");
          process.exit(exitCode);
        },
        (error) => {
          log.error({ err: error }, "the end was not in good order");
          process.exit(1);
        },
      );
  }

  // Before the start, which takes a while: a signal without a listener would end the process as it stands.
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => end(0, { signal }));
  }
  process.on("SIGHUP", () => {
    starting.then(
      (server) => server.reload(),
      () => {},
    );
  });
  const starting = startServer(config, {
    log,
    clock: Date.now,
    onFatal(error) {
      log.error({ err: error }, "the store or a thread has failed: ending, so that a restart can recover it");
      end(1, { reason: "failure" });
    },
  });
  const server = await starting;
  if (isFirstStart && !isEnding) {
    process.stderr.write(welcome(server.address, config.tls !== null));
  }
}

function welcome(address: string, hasTls: boolean): string {
  const flags = hasTls ? "-cacert SERVER_CA.pem -cert CALLER.pem -key CALLER_KEY.pem" : "-plaintext";
  return `The token authority listens on ${address}. To issue a first key, try:

  grpcurl ${flags} -d '{"account": "acct_1", "name": "My first key", "type": "TOKEN_TYPE_SECRET"}' \\
    ${address} casapay.token.v1.TokenService/Create

`;
}

/** One line for what a person can mend, the whole error for what is ours to mend. */
function explain(error: unknown): string {
  // The system's own words name the call, the reason and the address or path: "listen EADDRINUSE: …".
  if (error instanceof StartError || (error instanceof Error && "syscall" in error)) {
    return error.message;
  }
  if (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")) {
    return `${error.message}: see --help`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
