/** One thing measured several times. */
export type Figure = {
  readonly name: string;
  readonly unit: string;
  /** One a round. */
  readonly values: readonly number[];
};

const nameWidth = 66;
const numberWidth = 11;

/** Prints a table: the median of each figure, and its spread. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  console.log(
    `\n${title.padEnd(nameWidth)}${["median", "least", "greatest"].map((word) => word.padStart(numberWidth)).join("")}`,
  );
  for (const { name, unit, values } of figures) {
    const numbers = [median(values), Math.min(...values), Math.max(...values)];
    console.log(
      `  ${name.padEnd(nameWidth - 2)}${numbers.map((one) => formatNumber(one).padStart(numberWidth)).join("")}  ${unit}`,
    );
  }
}

/** How many times as much the one is as the other, round by round: what disturbs a round disturbs both. */
export function ratio(name: string, values: readonly number[], baseline: readonly number[]): Figure {
  return { name, unit: "x", values: values.map((value, round) => value / (baseline[round] ?? Number.NaN)) };
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
  const decimals = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(decimals).replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}
