import { digestWord } from "./key.ts";

const minMarks = 64 * 1024;
/** A kept key takes more, so there is a mark for each that finds room. */
const bytesOfMark = 512;

/**
 * Tells whether a digest, a character a byte as `digestText` makes it, was asked for before. It serves a memory of
 * `maxBytes`, and takes one or two hundredths of that, and 256 KiB at least. It forgets one when another digest takes
 * its mark, and mistakes one digest for another once in four thousand million: good for a guess at what is worth
 * keeping, and for nothing else. Returns true as well for all that come later.
 */
export function createSecondTimes(maxBytes: number): (digest: string) => boolean {
  const marks = Math.max(minMarks, 2 ** Math.ceil(Math.log2(maxBytes / bytesOfMark)));
  const seen = new Int32Array(marks);
  return (digest) => {
    const place = digestWord(digest, 0) & (marks - 1);
    const mark = digestWord(digest, 4);
    const isAgain = seen[place] === mark;
    seen[place] = mark;
    return isAgain;
  };
}
