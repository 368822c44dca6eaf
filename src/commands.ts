import { resolve } from "node:path";
import type { JournalHead } from "./authority/journal.ts";
import { filesElsewhere } from "./config.ts";
import { StartError } from "./machine/start-error.ts";
import { backUp } from "./stores/sqlite/offline/back-up.ts";
import { type Restored, restore } from "./stores/sqlite/offline/restore.ts";
import { verifyJournal } from "./stores/sqlite/offline/verify-journal.ts";

/** What was given behind `--`, as parseArgs reads it. */
export type CommandOptions = {
  readonly head?: string | undefined;
  readonly revocations?: readonly string[] | undefined;
  readonly "accept-lost-revocations"?: boolean | undefined;
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
    usage: "DATA_DIR [--head REVISION:HASH]",
    options: ["head"],
    arity: 1,
    async run([directory = ""], { head }) {
      const result = verifyJournal(directory, head === undefined ? null : parseHead(head));
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
      const head = await backUp(directory, file, pid);
      return { output: `${resolve(file)} is whole, up to ${text(head)}\n`, exitCode: 0 };
    },
  },
  restore: {
    usage: "BACKUP DATA_DIR --revocations FILE… | --accept-lost-revocations",
    options: ["revocations", "accept-lost-revocations"],
    arity: 2,
    async run([backup = "", directory = "", ...moreFiles], options, { env }) {
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
} satisfies Record<string, Command>;

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
  const { reached, gaps, unreadable, oldLog } = restored;
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
