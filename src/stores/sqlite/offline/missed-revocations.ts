import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type Database from "better-sqlite3";
import type { JournalHead } from "../../../authority/journal.ts";
import { StartError } from "../../../machine/start-error.ts";
import type { JournalLine, Takeaway } from "../writer/revocation-line.ts";
import { changesIn } from "./changes-in-text.ts";

export type MissedRevocations = {
  /** After the backup, oldest first. */
  readonly takeaways: readonly Takeaway[];
  /** The newest change that the files tell of, also when it is older than the backup; 0 without one. */
  readonly reached: number;
  /** The first and last revision of each stretch after the backup of which no file says what it was. */
  readonly gaps: readonly (readonly [number, number])[];
  /** Where lines are that may tell of a change and cannot be read: cut off, edited, or in another form. */
  readonly unreadable: readonly string[];
};

/**
 * Reads from revocation logs and log lines what was revoked after a backup. Throws a StartError when a file cannot be
 * read, tells of another store or history, or knows nothing that the backup knows.
 */
export async function readMissedRevocations(
  files: readonly string[],
  db: Database.Database,
  backupHead: JournalHead,
): Promise<MissedRevocations> {
  const findHash = db.prepare<[number], { readonly hash: Uint8Array }>("SELECT hash FROM journal WHERE revision = ?");
  const findToken = db.prepare<[string]>("SELECT 1 FROM token WHERE id = ?");
  const later = new Map<number, JournalLine>();
  const unreadable: string[] = [];
  let reached = 0;

  /** Whether the backup has it too. */
  function take(line: JournalLine, file: string): boolean {
    reached = Math.max(reached, line.revision);
    const row = findHash.get(line.revision);
    const known = row === undefined ? later.get(line.revision)?.hash : Buffer.from(row.hash).toString("hex");
    if (known !== undefined && known !== line.hash) {
      throw new StartError(
        `${file}: revision ${line.revision} is another one ${row === undefined ? "in another line" : "in the backup"}: these are lines of another installation, or of before an earlier restore`,
      );
    }
    if (row !== undefined) {
      return true;
    }
    later.set(line.revision, merge(later.get(line.revision), line));
    const subject = line.takeaway?.subject;
    return subject !== undefined && "tokenId" in subject && findToken.get(subject.tokenId) !== undefined;
  }

  for (const file of files) {
    let isKnown = backupHead.revision === 0;
    const unreadableBefore = unreadable.length;
    let number = 0;
    for await (const text of linesOf(file)) {
      number += 1;
      const { lines, isUnderstood } = changesIn(text);
      for (const line of lines) {
        isKnown = take(line, file) || isKnown;
      }
      if (!isUnderstood) {
        unreadable.push(`${file}, line ${number}`);
      }
    }
    if (!isKnown && unreadable.length === unreadableBefore) {
      throw new StartError(`${file}: no line is of a change that the backup knows: is it of this authority?`);
    }
  }
  const lines = [...later.values()].toSorted((a, b) => a.revision - b.revision);
  return {
    takeaways: lines.flatMap(({ takeaway }) => (takeaway === null ? [] : [takeaway])),
    reached,
    gaps: gapsIn(lines, backupHead.revision),
    unreadable,
  };
}

/** Two lines of one change: a revocation log also knows the reason, and what was before. */
function merge(one: JournalLine | undefined, other: JournalLine): JournalLine {
  if (one === undefined) {
    return other;
  }
  const takeaway = (one.takeaway?.reason ? one.takeaway : other.takeaway) ?? one.takeaway;
  return { ...one, after: Math.min(one.after, other.after), takeaway };
}

function gapsIn(lines: readonly JournalLine[], from: number): readonly (readonly [number, number])[] {
  const gaps: (readonly [number, number])[] = [];
  let reached = from;
  for (const { after, revision } of lines) {
    if (after > reached) {
      gaps.push([reached + 1, after]);
    }
    reached = Math.max(reached, revision);
  }
  return gaps;
}

async function* linesOf(file: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    if (error instanceof Error && "syscall" in error && "code" in error) {
      throw new StartError(`${file} cannot be read (${error.code})`, { cause: error });
    }
    throw error;
  }
}
