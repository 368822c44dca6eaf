/** Prints what a suite finds, a line a step. */
export type Report = {
  /** Runs a step and returns what it returns; null when it throws: then its error is printed, and the suite goes on. */
  step<T>(name: string, run: () => Promise<T> | T): Promise<T | null>;
  /** Prints the last line, and makes the process exit with 1 if a step failed. */
  close(): void;
};

export function createReport(suite: string): Report {
  const startMs = performance.now();
  const failed: string[] = [];
  let count = 0;
  return {
    async step(name, run) {
      count += 1;
      const stepStartMs = performance.now();
      try {
        const result = await run();
        console.log(`ok   ${name} (${secondsSince(stepStartMs)} s)`);
        return result;
      } catch (error) {
        failed.push(name);
        console.log(`FAIL ${name} (${secondsSince(stepStartMs)} s)`);
        console.log(error);
        return null;
      }
    },
    close() {
      process.exitCode = failed.length === 0 ? 0 : 1;
      const verdict = failed.length === 0 ? "all well" : `failed: ${failed.join("; ")}`;
      console.log(`${suite}: ${count} steps in ${secondsSince(startMs)} s, ${verdict}`);
    },
  };
}

function secondsSince(startMs: number): string {
  return ((performance.now() - startMs) / 1000).toFixed(1);
}
