import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { JournalHead } from "./authority/journal.ts";
import { databasePassword, filesElsewhere, sealingSecretOf } from "./config.ts";
import type { Log } from "./machine/log.ts";
import { readSecretFile } from "./machine/secret-file.ts";
import { StartError } from "./machine/start-error.ts";
import { type DatabaseSettings, readDatabaseSettings } from "./stores/postgres/database-url.ts";
import { type CommandConnection, connect, requireOwner, requireSchema } from "./stores/postgres/offline/connect.ts";
import { type Copied, copy } from "./stores/postgres/offline/copy.ts";
import { forgetSealingSecret, migrate } from "./stores/postgres/offline/migrate.ts";
import { type Recovered, recover } from "./stores/postgres/offline/recover.ts";
import { verifyJournal as verifyJournalOfDatabase } from "./stores/postgres/offline/verify-journal.ts";
import { schemaVersion } from "./stores/postgres/schema.ts";
import { backUp } from "./stores/sqlite/offline/back-up.ts";
import { type Restored, restore } from "./stores/sqlite/offline/restore.ts";
import { verifyJournal } from "./stores/sqlite/offline/verify-journal.ts";
import { openWholeAuthority } from "./stores/sqlite/offline/whole-authority.ts";

/** What was given behind `--`, as parseArgs reads it. */
export type CommandOptions = {
  readonly head?: string | undefined;
  readonly revocations?: readonly string[] | undefined;
  readonly "accept-lost-revocations"?: boolean | undefined;
  readonly "server-role"?: string | undefined;
  readonly "new-sealing-secret"?: boolean | undefined;
};

type Surroundings = { readonly pid: number; readonly env: Readonly<Record<string, string | undefined>> };

/** What a command prints, and what the process ends with. */
type CommandResult = { readonly output: string; readonly exitCode: number };

type Command = {
  readonly usage: string;
  readonly options: readonly (keyof CommandOptions)[];
  /** How many arguments it takes; those beyond them are more files for --revocations, as a shell makes of FILE*. */
  readonly arity: number;
  run(args: readonly string[], options: CommandOptions, surroundings: Surroundings): Promise<CommandResult>;
};

const commands = {
  "verify-journal": {
    usage: "DATA_DIR | DATABASE [--head REVISION:HASH]",
    options: ["head"],
    arity: 1,
    async run([place = ""], { head }, { env }) {
      const expected = head === undefined ? null : parseHead(head);
      const result = isDatabase(place)
        ? await onDatabase("verify-journal", place, env, (client) => verifyJournalOfDatabase(client, expected))
        : verifyJournal(place, expected);
      return result.fault === null
        ? { output: `the journal is whole, up to ${text(result.head)}\n`, exitCode: 0 }
        : { output: `the journal is at fault: ${result.fault}\n`, exitCode: 1 };
    },
  },
  backup: {
    usage: "DATA_DIR FILE",
    options: [],
    arity: 2,
    async run([directory = "", file = ""], _options, { pid }) {
      refuseDatabase("backup", directory);
      const head = await backUp(directory, file, pid);
      return { output: `${resolve(file)} is whole, up to ${text(head)}\n`, exitCode: 0 };
    },
  },
  restore: {
    usage: "BACKUP DATA_DIR --revocations FILE… | --accept-lost-revocations",
    options: ["revocations", "accept-lost-revocations"],
    arity: 2,
    async run([backup = "", directory = "", ...moreFiles], options, { env }) {
      refuseDatabase("restore", directory);
      const { revocations = [] } = options;
      if (moreFiles.length > 0 && revocations.length === 0) {
        throw new StartError(usageOf("restore"));
      }
      const elsewhere = filesElsewhere(env);
      const order = {
        backup,
        directory,
        revocationLog: elsewhere.revocationLog,
        marker: elsewhere.marker,
        revocations: [...revocations, ...moreFiles],
        acceptLost: options["accept-lost-revocations"] ?? false,
      };
      return { output: describe(await restore(order, Date.now())), exitCode: 0 };
    },
  },
  migrate: {
    usage: "DATABASE [--server-role ROLE] [--new-sealing-secret]",
    options: ["server-role", "new-sealing-secret"],
    arity: 1,
    async run([url = ""], options, { env }) {
      const serverRole = options["server-role"] ?? "token_authority";
      await using connection = await connectTo("migrate", url, env);
      await requireOwner(connection.client, "migrate");
      const { from, to } = await migrate(connection.client, { serverRole, log: noLog });
      const isNewSecret = options["new-sealing-secret"] ?? false;
      if (isNewSecret) {
        await forgetSealingSecret(connection.client);
      }
      const what =
        from === to ? `is of schema version ${to} already` : `was brought from schema version ${from} to ${to}`;
      const secret = isNewSecret ? "; the next node that starts says which sealing secret all nodes have" : "";
      return { output: `the database ${what}; ${serverRole} may serve it${secret}\n`, exitCode: 0 };
    },
  },
  recover: {
    usage: "DATABASE --revocations FILE… | --accept-lost-revocations",
    options: ["revocations", "accept-lost-revocations"],
    arity: 1,
    async run([url = "", ...moreFiles], options, { env }) {
      const { revocations = [] } = options;
      if (moreFiles.length > 0 && revocations.length === 0) {
        throw new StartError(usageOf("recover"));
      }
      await onDatabase("recover", url, env, (client) => requireOwner(client, "recover"));
      const settings = settingsOf(url, env);
      const acceptLost = options["accept-lost-revocations"] ?? false;
      const recovered = await recover(settings, { revocations: [...revocations, ...moreFiles], acceptLost }, noLog);
      return { output: describeRecovery(recovered), exitCode: 0 };
    },
  },
  copy: {
    usage: "DATA_DIR DATABASE",
    options: [],
    arity: 2,
    async run([directory = "", url = ""], _options, { env }) {
      const copied = await onDatabase("copy", url, env, async (client) => {
        await requireOwner(client, "copy into");
        using whole = await openWholeAuthority(directory, filesElsewhere(env), noLog);
        return await copy(client, { ...whole, sealingSecret: readSealingSecret(sealingSecretOf(env, directory)) });
      });
      return { output: describeCopy(copied, directory), exitCode: 0 };
    },
  },
} satisfies Record<string, Command>;

const sealingSecretBytes = 32;

/** What a command does is told once, by what it prints. */
const noLog: Log = { info() {}, warn() {}, error() {} };

function isDatabase(place: string): boolean {
  return /^postgres(?:ql)?:/.test(place);
}

/** A database server has better ways, which know of its write-ahead log. */
function refuseDatabase(command: string, place: string): void {
  if (isDatabase(place)) {
    throw new StartError(
      `npm run ${command} is for data directories: back a PostgreSQL database up and restore it with its own tools, and run npm run recover on what was restored`,
    );
  }
}

function settingsOf(url: string, env: Surroundings["env"]): DatabaseSettings {
  return readDatabaseSettings(url, databasePassword(env), "token-authority");
}

function connectTo(command: string, url: string, env: Surroundings["env"]): Promise<CommandConnection> {
  return connect(settingsOf(url, env), command);
}

/** Runs the work on a database of the present schema. */
async function onDatabase<T>(
  command: string,
  url: string,
  env: Surroundings["env"],
  work: (client: CommandConnection["client"]) => Promise<T>,
): Promise<T> {
  await using connection = await connectTo(command, url, env);
  await requireSchema(connection.client, schemaVersion);
  return await work(connection.client);
}

function readSealingSecret(file: string): Uint8Array | null {
  return existsSync(file)
    ? readSecretFile({ file, what: "the sealing secret", lengthBytes: sealingSecretBytes })
    : null;
}

function describeRecovery(recovered: Recovered): string {
  const { found, head, era, revokedAgain, changedAgain, knownAlready, ofLostTokens } = recovered;
  const { reached, gaps, unreadable } = recovered;
  const lines = [
    `found the database at ${text(found)}`,
    reached === 0
      ? "did no revocations again: keys whose revocation was lost live again"
      : `revoked again: ${revokedAgain}; ended, held or closed again: ${changedAgain}; known already: ${knownAlready}; of tokens whose creation was lost: ${ofLostTokens}`,
    ...gaps.map(([first, last]) => `not known: revisions ${first} to ${last}: keys that were revoked there live again`),
    ...unreadable.map((where) => `not read: ${where}: if it is a revocation, that key lives again`),
    ...(reached === 0 ? [] : [`the files reach revision ${reached}: what was revoked after it is not known`]),
    `the database is of era ${era} and ends at ${text(head)}: nodes that had stopped serve again`,
  ];
  return `${lines.join("\n")}\n`;
}

function describeCopy({ counts, head }: Copied, directory: string): string {
  const of = (table: string) => (counts.get(table) ?? 0).toLocaleString("en");
  const lines = [
    `copied ${of("token")} tokens with ${of("token_key")} keys, ${of("journal")} changes, ${of("account_state")} held or closed accounts, ${of("last_use")} last uses and ${of("create_request")} request ids`,
    "every row was read back and is the same",
    `the journal is whole, up to ${text(head)}`,
    `serve ${resolve(directory)} no more: what is changed there from now on is not in the database`,
  ];
  return `${lines.join("\n")}\n`;
}

type CommandName = keyof typeof commands;

export const commandNames: readonly string[] = Object.keys(commands);

export function isCommand(name: string | undefined): name is CommandName {
  return name !== undefined && Object.hasOwn(commands, name);
}

/** Throws a StartError when it is called wrongly, or cannot do its work. */
export function runCommand(
  name: CommandName,
  args: readonly string[],
  options: CommandOptions,
  surroundings: Surroundings,
): Promise<CommandResult> {
  const command: Command = commands[name];
  const isUnknown = Object.keys(options).some((option) => !command.options.some((known) => known === option));
  const isTooLong = args.length > command.arity && !command.options.includes("revocations");
  if (args.length < command.arity || isTooLong || isUnknown) {
    throw new StartError(usageOf(name));
  }
  return command.run(args, options, surroundings);
}

function usageOf(name: CommandName): string {
  return `usage: npm run ${name} -- ${commands[name].usage}`;
}

function describe(restored: Restored): string {
  const { backupHead, head, revokedAgain, changedAgain, knownAlready, ofLostTokens } = restored;
  const { reached, gaps, unreadable, oldLog, unmovedLog } = restored;
  const { tokens, count } = restored.mayLiveAgain ?? { tokens: [], count: 0 };
  const lines = [
    `restored the backup of ${text(backupHead)}`,
    reached === 0
      ? "applied no revocations: keys that were revoked after the backup live again"
      : `revoked again: ${revokedAgain}; ended, held or closed again: ${changedAgain}; known already: ${knownAlready}; of tokens created after the backup, which are lost: ${ofLostTokens}`,
    ...gaps.map(([first, last]) => `not known: revisions ${first} to ${last}: keys that were revoked there live again`),
    ...unreadable.map((where) => `not read: ${where}: if it is a revocation, that key lives again`),
    ...tokens.map(({ id, account }) => `may live again: ${id} of ${account}`),
    ...(count > tokens.length
      ? [`may live again: ${count - tokens.length} more, as List shows with the state active`]
      : []),
    ...(reached === 0 ? [] : [`the files reach revision ${reached}: what was revoked after it is not known`]),
    ...(oldLog === null ? [] : [`moved the revocation log of before to ${oldLog}`]),
    ...(unmovedLog === null
      ? []
      : [
          `the new revocation log is ${unmovedLog.file} and cannot be moved to its place (${unmovedLog.reason}): keep it, a start moves it there`,
        ]),
    `the journal is whole, up to ${text(head)}`,
  ];
  return `${lines.join("\n")}\n`;
}

function parseHead(value: string): { readonly revision: number; readonly hash: Uint8Array } {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(value);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new StartError("--head: must be REVISION:HASH, as log lines of changes have them");
  }
  return { revision: Number(match[1]), hash: Buffer.from(match[2], "hex") };
}

function text({ revision, hash }: JournalHead): string {
  return `${revision}:${Buffer.from(hash).toString("hex")}`;
}
