/** What a variable of the environment may be, said once: in words, and as what reads it. */
export type SettingKind<T> = {
  /** What follows "must be": `a whole number from 1 to 64`. */
  readonly words: string;
  /** Null when the text is nothing of this kind. */
  read(text: string): T | null;
};

/** Digits, and nothing else: `1e3` and `-0` are no whole numbers here. */
export function wholeNumber(min: number, max: number): SettingKind<number> {
  return {
    words: `a whole number from ${min} to ${max}`,
    read(text) {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value : null;
    },
  };
}

/** One of these words, as it is written here. */
export function oneOf<const T extends string>(values: readonly T[]): SettingKind<T> {
  return {
    words: `${values.length === 1 ? "" : "one of "}${values.join(", ")}`,
    read: (text) => values.find((one) => one === text) ?? null,
  };
}

/** The path of a file or a directory. */
export function path(what: string): SettingKind<string> {
  return { words: what, read: (text) => text };
}
