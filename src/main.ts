import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { StartError } from "./authority/errors.ts";
import { describeSettings, readConfig } from "./config.ts";
import { startServer } from "./server.ts";
import { verifyJournal } from "./sqlite/verify-journal.ts";

const usage = `The CasaPay token authority: issues API keys and decides on them.

  npm start                                  serves, as these settings in the environment say
  npm run verify-journal -- DATA_DIR [--head REVISION:HASH]
                                             checks the journal, also beside a running server

Settings:
${describeSettings()}

Signals: SIGTERM and SIGINT end it in good order, a second one at once; SIGHUP reads certificates and callers again.
`;

await main(process.argv.slice(2));

async function main(args: string[]): Promise<void> {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { help: { type: "boolean", short: "h" }, head: { type: "string" } },
    });
    if (values.help) {
      process.stdout.write(usage);
    } else if (positionals[0] === "verify-journal") {
      verify(positionals.slice(1), values.head);
    } else if (positionals.length > 0 || values.head !== undefined) {
      throw new StartError("these arguments mean nothing here: see --help");
    } else {
      await serve();
    }
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(2);
  }
}

async function serve(): Promise<void> {
  const config = readConfig(process.env);
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

function verify(positionals: readonly string[], headText: string | undefined): void {
  const [directory, ...rest] = positionals;
  const head = headText === undefined ? null : parseHead(headText);
  if (directory === undefined || rest.length > 0) {
    throw new StartError("usage: npm run verify-journal -- DATA_DIR [--head REVISION:HASH]");
  }
  const result = verifyJournal(directory, head);
  if (result.fault === null) {
    process.stdout.write(`the journal is whole, up to ${result.head.revision}:${hex(result.head.hash)}\n`);
  } else {
    process.stdout.write(`the journal is at fault: ${result.fault}\n`);
    process.exitCode = 1;
  }
}

function parseHead(text: string): { readonly revision: number; readonly hash: Uint8Array } {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new StartError("--head: must be REVISION:HASH, as log lines of changes have them");
  }
  return { revision: Number(match[1]), hash: Buffer.from(match[2], "hex") };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
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
