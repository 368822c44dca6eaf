/** Collects the values of a statement that is put together from parts, each where its text stands. */
export type StatementValues = {
  /** Returns what stands for the value in the text. */
  at(value: unknown): string;
  readonly values: readonly unknown[];
};

export function collectValues(): StatementValues {
  const values: unknown[] = [];
  return {
    values,
    at(value) {
      values.push(value);
      return `$${values.length}`;
    },
  };
}
