import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { withoutKey } from "./calls/fault-log.ts";
import { commandNames, isCommand, runCommand } from "./commands.ts";
import { describeSettings, isSettingName, quoted, readConfig } from "./config.ts";
import { howToMakeFirstKey } from "./doors/rpc/how-to-make-first-key.ts";
import { openLogOutput } from "./machine/log-output.ts";
import { memoryLimitBytes } from "./machine/memory-limit.ts";
import { nearestWord } from "./machine/nearest-word.ts";
import { printAnswer } from "./machine/print-answer.ts";
import { createProcessLog } from "./machine/process-log.ts";
import { StartError } from "./machine/start-error.ts";
import { type ServerOptions, startServer } from "./server.ts";
import { version } from "./version.ts";

const usage = `The CasaPay token authority: issues API keys and decides on them.

  npm start                                  starts the server with the settings of the environment
  npm start -- --version                     prints the version
  npm start -- --init | --new-log | --new-marker
                                             starts the server, and this once makes what is missing: the database, the
                                             revocation log, the marker
  npm run verify-journal -- DATA_DIR | DATABASE [--head REVISION:HASH]
                                             checks the journal, also beside a running server
  npm run backup -- DATA_DIR FILE            copies the database, also beside a running server
  npm run restore -- BACKUP DATA_DIR --revocations FILE… | --accept-lost-revocations
                                             makes a database from a backup and the revocations since
  npm run migrate -- DATABASE [--server-role ROLE] [--new-sealing-secret]
                                             makes the tables in a PostgreSQL database, or brings them up to date
  npm run copy -- DATA_DIR DATABASE          moves all that a data directory holds to an empty PostgreSQL database
  npm run recover -- DATABASE --revocations FILE… | --accept-lost-revocations
                                             makes a PostgreSQL database that lost changes fit to be served again

DATABASE is postgres://USER@HOST[:PORT][,HOST…]/NAME with a role that owns the tables; its password is in .pgpass or in
the file that TOKEN_AUTHORITY_DATABASE_PASSWORD names. ROLE is the server's own, token_authority unless it is given.

Settings, which are variables of the environment:

${describeSettings()}

Signals: SIGTERM, SIGINT and SIGQUIT end the server in good order, a second one at once. SIGHUP reads certificates and
callers again.
`;

const lastWordsMs = 500;

type Missing = ServerOptions["makeAnew"][number];

const missingToMake = [
  { option: "init", missing: "database" },
  { option: "new-log", missing: "revocation log" },
  { option: "new-marker", missing: "marker" },
] as const satisfies readonly { readonly option: string; readonly missing: Missing }[];

const options = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
  head: { type: "string" },
  revocations: { type: "string", multiple: true },
  "accept-lost-revocations": { type: "boolean" },
  "server-role": { type: "string" },
  "new-sealing-secret": { type: "boolean" },
  init: { type: "boolean" },
  "new-log": { type: "boolean" },
  "new-marker": { type: "boolean" },
} as const satisfies ParseArgsOptionsConfig;

/** Does what the arguments say: serves, or runs a command. */
export async function run(process: NodeJS.Process): Promise<void> {
  const args = process.argv.slice(2);
  try {
    refuseUnknownOptions(args);
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
    const [command] = positionals;
    const makeAnew = missingToMake.filter(({ option }) => values[option]);
    if (values.help) {
      await printAnswer(usage);
    } else if (values.version) {
      await printAnswer(`token-authority ${version} (Node ${process.versions.node})\n`);
    } else if (isCommand(command)) {
      const { output, exitCode } = await runCommand(command, positionals.slice(1), values, process);
      await printAnswer(output);
      process.exitCode = exitCode;
    } else if (command !== undefined) {
      throw new StartError(`there is no command ${quoted(command)}${meant(command, commandNames)}: see --help`);
    } else if (Object.keys(values).length > makeAnew.length) {
      throw new StartError("these options belong to a command: see --help");
    } else {
      await serve(
        process,
        makeAnew.map(({ missing }) => missing),
      );
    }
  } catch (error) {
    await tellPerson(`${explain(error)}\n`);
    process.exit(2);
  }
}

/** parseArgs would say no more than that there is none. */
function refuseUnknownOptions(args: readonly string[]): void {
  const { tokens } = parseArgs({ args: [...args], allowPositionals: true, options, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind === "option" && !Object.hasOwn(options, token.name)) {
      const setting = `TOKEN_AUTHORITY_${token.name.toUpperCase().replaceAll("-", "_")}`;
      const hint = isSettingName(setting)
        ? `: settings are variables of the environment, this one is ${setting}`
        : meant(token.name, Object.keys(options), "--");
      throw new StartError(`there is no option ${quoted(token.rawName)}${hint}: see --help`);
    }
  }
}

function meant(word: string, words: readonly string[], before = ""): string {
  const near = nearestWord(word, words);
  return near === null ? "" : `, did you mean ${before}${near}`;
}

/** On standard error, which may be a pipe without a reader: the write is waited for no longer than a moment. */
async function tellPerson(text: string): Promise<void> {
  const output = openLogOutput(2, () => {});
  output.write(text, true);
  await output.flush(lastWordsMs);
}

async function serve(process: NodeJS.Process, makeAnew: readonly Missing[]): Promise<void> {
  const config = readConfig(process.env, memoryLimitBytes(process));
  const { log, output } = createProcessLog(config.logLevel, process.pid);
  let isEnding = false;

  function end(exitCode: number, why: object): void {
    if (isEnding) {
      process.exit(1);
    }
    isEnding = true;
    log.info(why, "stopping");
    void finish(exitCode);
  }

  async function finish(exitCode: number): Promise<never> {
    let code = exitCode;
    try {
      // What is still starting is ended once it has.
      const server = await starting;
      await server[Symbol.asyncDispose]();
      log.info({ exitCode }, "stopped");
    } catch (error) {
      log.error({ err: error }, "the end was not in good order");
      code = 1;
    }
    await output.flush(lastWordsMs);
    process.exit(code);
  }

  // Before the start, which takes a while: a signal without a listener would end the process as it stands.
  // SIGQUIT as well: it would leave a core dump, which holds keys.
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
    process.on(signal, () => end(0, { signal }));
  }
  // Node would write both to standard error, and wait for its reader.
  process.on("uncaughtException", (error) => {
    log.error({ err: withoutKey(error) }, "an error that nothing caught: ending, so that a restart can recover");
    process.exit(1);
  });
  process.removeAllListeners("warning");
  process.on("warning", (warning) => log.warn({ err: withoutKey(warning) }, "Node warns"));
  process.on("SIGHUP", () => {
    starting.then(
      (server) => server.reload(),
      () => {},
    );
  });
  const starting = startServer(config, {
    log,
    makeAnew,
    clock: Date.now,
    pid: process.pid,
    logLinesDropped: output.dropped,
    onFatal(error) {
      log.error({ err: error }, "the store or a thread has failed: ending, so that a restart can recover it");
      end(1, { reason: "failure" });
    },
  });
  const server = await starting;
  if (server.isEmpty && !isEnding) {
    const { tls, plaintextRole } = config.rpc;
    await tellPerson(howToMakeFirstKey(server.address, { isPlaintext: tls === null, plaintextRole }));
  }
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
