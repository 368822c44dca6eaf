/** Commands, and what must be in what they print. */
export type Part = { readonly commands: string; readonly expected: readonly string[] };

/** A block of commands in a guide. */
export type Block = {
  /** FILE:LINE */
  readonly place: string;
  /** Under which it stands. */
  readonly heading: string;
  readonly parts: readonly Part[];
};

/** The `sh` blocks of a Markdown text. */
export function blocksOf(file: string, markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```sh\n((?:(?!```).*\n)*)```$/gm)].map(({ index, 1: text = "" }) => {
    const before = markdown.slice(0, index);
    return {
      place: `${file}:${before.split("\n").length}`,
      heading: [...before.matchAll(/^#+ (?!prints )(.*)$/gm)].at(-1)?.[1] ?? "",
      parts: partsOf(text),
    };
  });
}

/** A part ends with the lines that say what it prints. */
function partsOf(text: string): readonly Part[] {
  return [...text.matchAll(/((?:(?!# prints ).*\n)+)((?:# prints .*\n)*)/g)].map(
    ([, commands = "", expected = ""]) => ({
      commands,
      expected: [...expected.matchAll(/^# prints (.*)$/gm)].map(([, line = ""]) => line),
    }),
  );
}
