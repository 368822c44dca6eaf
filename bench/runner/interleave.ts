import { watchDisturbance } from "./disturbance.ts";

/**
 * Runs each arm once a round, after a round 0 that is not counted. What the machine does meanwhile meets all arms
 * alike, and is printed.
 */
export async function interleave<Name extends string, T>(
  rounds: number,
  arms: Readonly<Record<Name, (round: number) => Promise<T>>>,
): Promise<Readonly<Record<Name, readonly T[]>>> {
  const names = Object.keys(arms) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, [] as T[]])) as Record<Name, T[]>;
  const disturbance = watchDisturbance();
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of names) {
      const result = await arms[name](round);
      if (round > 0) {
        results[name].push(result);
      }
    }
    disturbance.endRound();
  }
  console.log(`\n${disturbance.describe()}`);
  return results;
}
