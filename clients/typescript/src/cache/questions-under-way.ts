/**
 * Whoever misses a key while the authority is asked about it waits for that answer, and looks at memory again. An
 * answer is shared through memory alone, and so by the rules of memory; a failure is shared with nobody.
 */
export class QuestionsUnderWay {
  readonly #ends = new Map<string, Promise<void>>();

  /** Puts a question about the key with this digest. */
  async ask<Answer>(digest: string, question: () => Promise<Answer>): Promise<Answer> {
    const answer = question();
    const end = answer.then(ignore, ignore);
    this.#ends.set(digest, end);
    try {
      return await answer;
    } finally {
      if (this.#ends.get(digest) === end) {
        this.#ends.delete(digest);
      }
    }
  }

  /**
   * Null when no question about the key is under way. Otherwise resolves with the question's end, or sooner when
   * `maxMs` are over or the signal is aborted. Who then finds nothing in memory asks, and waits for no other again.
   */
  wait(digest: string, maxMs: number, signal?: AbortSignal): Promise<void> | null {
    const end = this.#ends.get(digest);
    return end === undefined ? null : endOrLimit(end, maxMs, signal);
  }
}

async function endOrLimit(end: Promise<void>, maxMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) {
    return;
  }
  let stop = ignore;
  const limit = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const timer = setTimeout(stop, maxMs);
  signal?.addEventListener("abort", stop);
  await Promise.race([end, limit]);
  clearTimeout(timer);
  signal?.removeEventListener("abort", stop);
}

function ignore(): void {}
