import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { JournalHead } from "../../authority/journal.ts";
import { StartError } from "../../machine/start-error.ts";
import { changesIn } from "./changes-in-text.ts";
import type { JournalLine, Takeaway } from "./revocation-line.ts";

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

/** What is there already: a backup, or a database that may have lost its newest changes. */
export type KnownChanges = {
  readonly head: JournalHead;
  /** What errors call it: "the backup". */
  readonly name: string;
  /** The hash of this change, or null where there is no such change. */
  hashOf(revision: number): Uint8Array | null | Promise<Uint8Array | null>;
  hasToken(id: string): boolean | Promise<boolean>;
};

/**
 * Reads from revocation logs and log lines what was revoked after a backup. Throws a StartError when a file cannot be
 * read, tells of another store or history, or knows nothing that the backup knows.
 */
export async function readMissedRevocations(files: readonly string[], known: KnownChanges): Promise<MissedRevocations> {
  const later = new Map<number, JournalLine>();
  const unreadable: string[] = [];
  let reached = 0;

  /** Whether it is known already. */
  async function take(line: JournalLine, file: string): Promise<boolean> {
    reached = Math.max(reached, line.revision);
    const hash = line.revision > known.head.revision ? null : await known.hashOf(line.revision);
    const other = hash === null ? later.get(line.revision)?.hash : Buffer.from(hash).toString("hex");
    if (other !== undefined && other !== line.hash) {
      throw new StartError(
        `${file}: revision ${line.revision} is another one ${hash === null ? "in another line" : `in ${known.name}`}: these are lines of another installation, or of before an earlier restore`,
      );
    }
    if (hash !== null) {
      return true;
    }
    later.set(line.revision, merge(later.get(line.revision), line));
    const subject = line.takeaway?.subject;
    return subject !== undefined && "tokenId" in subject && (await known.hasToken(subject.tokenId));
  }

  for (const file of files) {
    let isKnown = known.head.revision === 0;
    const unreadableBefore = unreadable.length;
    let number = 0;
    for await (const text of linesOf(file)) {
      number += 1;
      const { lines, isUnderstood } = changesIn(text);
      for (const line of lines) {
        isKnown = (await take(line, file)) || isKnown;
      }
      if (!isUnderstood) {
        unreadable.push(`${file}, line ${number}`);
      }
    }
    if (!isKnown && unreadable.length === unreadableBefore) {
      throw new StartError(`${file}: no line is of a change that ${known.name} knows: is it of this authority?`);
    }
  }
  const lines = [...later.values()].toSorted((a, b) => a.revision - b.revision);
  return {
    takeaways: lines.flatMap(({ takeaway }) => (takeaway === null ? [] : [takeaway])),
    reached,
    gaps: gapsIn(lines, known.head.revision),
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
