import type { Simulation } from "./simulation.ts";

/** What came of a round. */
export type RoundResult = {
  readonly decisions: number;
  readonly answeredChanges: number;
  /** How long changes took from question to answer, in order of size. */
  readonly waitsMs: readonly number[];
  readonly stale: readonly string[];
  readonly wentBack: readonly string[];
};

/** One answer that somebody got to the question whether a key may pass. */
export type Decision = {
  readonly token: number;
  /** Who answered. Its answers about a token never go back to an older state. */
  readonly holder: string;
  readonly beganMs: number;
  /** The newest change of the token that the answer knows of, by its revision. */
  readonly basis: number;
};

/**
 * Everything that was changed, answered and decided. Judges each decision: it must know every change that was answered
 * before its question began.
 */
export class History {
  #decisions = 0;
  /** Decisions that did not know of a change that was answered before: one sentence each. */
  readonly #stale: string[] = [];
  /** Decisions that knew less than an earlier one of the same gateway, of changes that are not answered yet. */
  readonly #wentBack: string[] = [];
  /** How long each change took from question to answer. */
  readonly #waitsMs: number[] = [];
  readonly #simulation: Simulation;
  readonly #accountOf: (token: number) => number;
  readonly #changesOfToken = new Map<number, number[]>();
  readonly #changesOfAccount = new Map<number, number[]>();
  readonly #answeredAtMs = new Map<number, number>();
  readonly #newestKnown = new Map<string, { readonly basis: number; readonly endedMs: number }>();

  constructor(simulation: Simulation, accountOf: (token: number) => number) {
    this.#simulation = simulation;
    this.#accountOf = accountOf;
  }

  changedToken(token: number, revision: number): void {
    listIn(this.#changesOfToken, token).push(revision);
  }

  changedAccount(account: number, revision: number): void {
    listIn(this.#changesOfAccount, account).push(revision);
  }

  answered(revision: number, askedAtMs: number): void {
    const { nowMs } = this.#simulation;
    if (!this.#answeredAtMs.has(revision)) {
      this.#answeredAtMs.set(revision, nowMs);
      this.#waitsMs.push(nowMs - askedAtMs);
    }
  }

  result(): RoundResult {
    return {
      decisions: this.#decisions,
      answeredChanges: this.#answeredAtMs.size,
      waitsMs: this.#waitsMs.toSorted((left, right) => left - right),
      stale: this.#stale,
      wentBack: this.#wentBack,
    };
  }

  /** The newest change of the token, or of its account, up to the revision; 0 where there is none. */
  basisAt(token: number, revision: number): number {
    let basis = 0;
    for (const changes of this.#changesOf(token)) {
      for (const change of changes) {
        basis = change <= revision ? Math.max(basis, change) : basis;
      }
    }
    return basis;
  }

  decided(decision: Decision): void {
    this.#decisions += 1;
    const { token, holder, beganMs, basis } = decision;
    for (const changes of this.#changesOf(token)) {
      for (const change of changes) {
        const answeredAtMs = this.#answeredAtMs.get(change);
        if (change > basis && answeredAtMs !== undefined && answeredAtMs < beganMs) {
          this.#stale.push(`${nameOf(decision)} does not know of change ${change}, answered at ${ms(answeredAtMs)}`);
        }
      }
    }
    const key = `${holder} ${token}`;
    const known = this.#newestKnown.get(key);
    if (known !== undefined && known.basis > basis && known.endedMs < beganMs) {
      this.#wentBack.push(`${nameOf(decision)} goes back from change ${known.basis} to ${basis}`);
    }
    if (known === undefined || known.basis < basis) {
      this.#newestKnown.set(key, { basis, endedMs: this.#simulation.nowMs });
    }
  }

  #changesOf(token: number): readonly (readonly number[])[] {
    return [listIn(this.#changesOfToken, token), listIn(this.#changesOfAccount, this.#accountOf(token))];
  }
}

function nameOf({ holder, token, beganMs }: Decision): string {
  return `at ${ms(beganMs)} ${holder} about token ${token}`;
}

function listIn(lists: Map<number, number[]>, key: number): number[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function ms(time: number): string {
  return `${time.toFixed(1)} ms`;
}
