import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { JournalHead } from "../../authority/journal.ts";
import { StartError } from "../../machine/start-error.ts";
import { changesIn } from "./changes-in-text.ts";
import type { JournalLine, Takeaway } from "./revocation-line.ts";

export type MissedRevocations = {
  /** After the backup, oldest first. */
  readonly takeaways: readonly Takeaway[];
  /** How many changes the files tell of that are not known. */
  readonly unknown: number;
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
  /** Whether other changes may have been made since in place of those that are lost. */
  readonly mayHaveForked: boolean;
};

/**
 * Reads from revocation logs and log lines what was revoked after a backup. Throws a StartError when a file cannot be
 * read, tells of another store or history, or knows nothing that the backup knows.
 */
export async function readMissedRevocations(files: readonly string[], known: KnownChanges): Promise<MissedRevocations> {
  /** By revision; where others may have taken their place, by hash as well. */
  const later = new Map<string, JournalLine>();
  const unreadable: string[] = [];
  let reached = 0;
  let lastKnown = 0;

  /** Whether it is known already. */
  async function take(line: JournalLine, file: string): Promise<boolean> {
    reached = Math.max(reached, line.revision);
    const hash = line.revision > known.head.revision ? null : await known.hashOf(line.revision);
    const place = known.mayHaveForked ? `${line.revision} ${line.hash}` : String(line.revision);
    const other = hash === null ? later.get(place)?.hash : Buffer.from(hash).toString("hex");
    if (other !== undefined && other !== line.hash && !known.mayHaveForked) {
      throw new StartError(
        `${file}: revision ${line.revision} is another one ${hash === null ? "in another line" : `in ${known.name}`}: these are lines of another installation, or of before an earlier restore`,
      );
    }
    if (other === line.hash && hash !== null) {
      lastKnown = Math.max(lastKnown, line.revision);
      return true;
    }
    later.set(place, merge(later.get(place), line));
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
  const isForked = (lines[0]?.revision ?? Number.POSITIVE_INFINITY) <= known.head.revision;
  return {
    takeaways: lines.flatMap(({ takeaway }) => (takeaway === null ? [] : [takeaway])),
    unknown: lines.length,
    reached,
    // Where others took their place, only what both have is of one history.
    gaps: gapsIn(lines, isForked ? lastKnown : known.head.revision),
    unreadable,
  };
}

/** Throws a StartError unless the files say of every change after what is known whether it took something away. */
export function requireComplete(
  { unknown, reached, gaps, unreadable }: MissedRevocations,
  { name, head, mayHaveForked }: Pick<KnownChanges, "name" | "head" | "mayHaveForked">,
): void {
  if (unreadable[0] !== undefined) {
    throw new StartError(
      `${unreadable[0]}: tells of a change and cannot be read, being cut off, edited or not in JSON: give the line as it was written, take it out if nothing is lost with it, or accept what it says as lost with --accept-lost-revocations`,
    );
  }
  if (mayHaveForked && unknown === 0) {
    throw new StartError(
      `the files tell of no change that ${name} has lost: give the logs of the nodes that served at the time, or accept with --accept-lost-revocations that keys may live again`,
    );
  }
  if (!mayHaveForked && reached < head.revision) {
    throw new StartError(
      `the files end at revision ${reached}, before ${name}'s ${head.revision}: give newer ones, or accept with --accept-lost-revocations that keys may live again`,
    );
  }
  const [gap] = gaps;
  if (gap !== undefined) {
    const [first, last] = gap;
    throw new StartError(
      `no file says what ${first === last ? `revision ${first} was` : `revisions ${first} to ${last} were`}: give those lines as well, or accept what was revoked there as lost with --accept-lost-revocations`,
    );
  }
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
