import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Random } from "../support/random.ts";
import { type Finding, judge } from "./checker.ts";
import type { Scenario } from "./gateway-scenarios.ts";
import { Round, type Stage } from "./round.ts";

const maxRoundMs = 120_000;

/** What rounds have come to. */
export type Played<Name extends string = string> = {
  rounds: number;
  answers: number;
  cacheHits: number;
  undecided: number;
  readonly waitsMs: number[];
  longestCall: { readonly scenario: Name; readonly ms: number } | null;
  illegal: { readonly scenario: Name; readonly faults: readonly string[] } | null;
};

export type Play<Rig extends Stage, Name extends string> = {
  readonly rig: Rig;
  readonly random: Random;
  readonly rounds: number;
  readonly scenarios: Readonly<Record<Name, Scenario<Rig>>>;
  /** Which of them are played. */
  readonly names: readonly Name[];
  readonly checker: string;
  /** For histories and pictures. */
  readonly scratch: string;
  /** What is wrong after a round, beside what the history shows. */
  readonly inspect?: () => Promise<readonly string[]>;
  /** Prints how far it is, and keeps the history and the pictures of an illegal round. False for planted bugs. */
  readonly reports: boolean;
};

/** Every scenario in turn, in an order of the seed's, until a round is illegal. */
export async function playRounds<Rig extends Stage, Name extends string>(play: Play<Rig, Name>): Promise<Played<Name>> {
  const counts = { rounds: 0, answers: 0, cacheHits: 0, undecided: 0 };
  const total: Played<Name> = { ...counts, waitsMs: [], longestCall: null, illegal: null };
  let waiting: Name[] = [];
  while (total.rounds < play.rounds && total.illegal === null) {
    waiting = waiting.length === 0 ? shuffled(play.names, play.random) : waiting;
    const scenario = waiting.pop();
    if (scenario !== undefined) {
      await playRound(play, scenario, total);
    }
    if (total.rounds % 10 === 0 && play.reports) {
      console.log(`round ${total.rounds}: ${describe(total)}`);
    }
  }
  return total;
}

async function playRound<Rig extends Stage, Name extends string>(
  play: Play<Rig, Name>,
  scenario: Name,
  total: Played<Name>,
): Promise<void> {
  const round = new Round(play.rig, play.random);
  const unended = await within(maxRoundMs, scenario, round.run(play.scenarios[scenario])).then(
    () => null,
    (error: unknown) => error,
  );
  round.end();
  const path = join(play.scratch, "history.jsonl");
  round.history.writeTo(path);
  const pictures = join(play.scratch, "pictures");
  mkdirSync(pictures, { recursive: true });
  const finding = await judge(play.checker, path, pictures);
  total.rounds += 1;
  total.answers += round.history.answers;
  total.cacheHits += round.history.cacheHits;
  total.undecided += round.history.undecided;
  total.waitsMs.push(...round.waitsMs);
  const ms = Math.max(0, ...round.callsMs);
  total.longestCall = ms > (total.longestCall?.ms ?? 0) ? { scenario, ms } : total.longestCall;
  // Of a round that did not end, changes are missing.
  const faults = [...(unended === null ? faultsOf(finding) : []), ...((await play.inspect?.()) ?? [])];
  if (unended !== null && faults.length === 0) {
    throw unended;
  }
  if (faults.length > 0) {
    total.illegal = { scenario, faults };
    if (play.reports) {
      await keep(play.checker, round, scenario, faults);
    }
  }
}

function faultsOf({ result, violations }: Finding): readonly string[] {
  return result === "Ok" ? [] : [`${result}: ${violations.length} violations`];
}

/** A round without an end is a fault of the suite, or a call that is never answered. */
async function within(ms: number, scenario: string, running: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const isLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the round where ${scenario} does not end`)), ms);
  });
  await Promise.race([running, isLate]).finally(() => clearTimeout(timer));
}

/** Pictures that are to be looked at outlive the suite. */
async function keep<Rig extends Stage>(
  checker: string,
  { history }: Round<Rig>,
  scenario: string,
  faults: readonly string[],
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "token-authority-freshness-illegal-"));
  const path = join(folder, "history.jsonl");
  history.writeTo(path);
  console.log(`where ${scenario}: ${faults.join("; ")}; history and pictures are in ${folder}`);
  await judge(checker, path, folder);
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const rest = [...list];
  return list.flatMap(() => rest.splice(random.below(rest.length), 1));
}

export function describe({ rounds, answers, cacheHits, undecided, waitsMs, longestCall }: Played): string {
  const sorted = waitsMs.toSorted((left, right) => left - right);
  const [p50, p99] = [0.5, 0.99].map((part) => sorted[Math.floor(part * (sorted.length - 1))]?.toFixed(0));
  return (
    `${rounds} rounds, ${answers} answers, ${cacheHits} of them from caches, ${undecided} undecided; ` +
    `${sorted.length} changes took ${p50} ms (p50), ${p99} ms (p99), ` +
    `the longest call ${longestCall?.ms.toFixed(0)} ms, where ${longestCall?.scenario}`
  );
}

/**
 * Plays the rounds of each planted bug, so many at a time, prints what came of it, and returns the names of those that
 * no round showed.
 */
export async function showPlantedBugs<Bug extends { readonly name: string }>(
  bugs: readonly Bug[],
  atATime: number,
  play: (bug: Bug) => Promise<Played>,
): Promise<readonly string[]> {
  const unseen: string[] = [];
  // They share one iterator: each takes the next bug that none has taken.
  const rest = bugs.values();
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (const bug of rest) {
        const total = await play(bug);
        const verdict = total.illegal === null ? "NOT SEEN" : `seen, where ${total.illegal.scenario}`;
        console.log(`${total.illegal === null ? "FAIL" : "ok  "} ${bug.name}: ${verdict}; ${describe(total)}`);
        if (total.illegal === null) {
          unseen.push(bug.name);
        }
      }
    }),
  );
  return unseen;
}
