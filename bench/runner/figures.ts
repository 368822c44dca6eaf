/** One thing measured several times. */
export type Figure = {
  readonly name: string;
  readonly unit: string;
  /** One a round. */
  readonly values: readonly number[];
  /** What the median must reach; absent where nothing is promised. */
  readonly target?: Target | undefined;
};

export type Target = { readonly atLeast: number } | { readonly atMost: number };

const nameWidth = 74;
const numberWidth = 10;
const targetWidth = 12;

/** Prints a table: the median of each figure, its spread, and whether its target is reached. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  const heads = ["median", "least", "greatest"].map((word) => word.padStart(numberWidth)).join("");
  console.log(`\n${title.padEnd(nameWidth)}${heads}`);
  for (const figure of figures) {
    console.log(describe(figure));
  }
}

function describe({ name, unit, values, target }: Figure): string {
  const numbers = [median(values), Math.min(...values), Math.max(...values)];
  const columns = numbers.map((one) => formatNumber(one).padStart(numberWidth)).join("");
  const line = `  ${name.padEnd(nameWidth - 2)}${columns}  ${unit}`;
  if (target === undefined) {
    return line;
  }
  const verdict = isReached(values, target) ? "reached" : "NOT reached";
  return `${line.padEnd(nameWidth + 3 * numberWidth + 11)}${formatTarget(target).padEnd(targetWidth)}${verdict}`;
}

function formatTarget(target: Target): string {
  return "atLeast" in target ? `>= ${formatNumber(target.atLeast)}` : `<= ${formatNumber(target.atMost)}`;
}

/** Whether the median is where it must be. */
export function isReached(values: readonly number[], target: Target): boolean {
  const value = median(values);
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}

/** How many times as much the one is as the other, round by round: what disturbs a round disturbs both. */
export function ratio(name: string, values: readonly number[], baseline: readonly number[], target?: Target): Figure {
  const ratios = values.map((value, round) => value / (baseline[round] ?? Number.NaN));
  return { name, unit: "x", values: ratios, target };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const above = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + above) / 2 : above;
}

/** Three digits that say something. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return "-";
  }
  const decimals = Math.abs(value) >= 100 || value === 0 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(decimals).replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}
