import { digestWord } from "./key.ts";

const marks = 64 * 1024;

/**
 * Tells whether a digest, a character a byte as `digestText` makes it, was asked for before, in 256 KiB. It forgets one
 * when another digest takes its mark, and mistakes one digest for another once in four thousand million: good for a
 * guess at what is worth keeping, and for nothing else. Returns true as well for all that come later.
 */
export function createSecondTimes(): (digest: string) => boolean {
  const seen = new Int32Array(marks);
  return (digest) => {
    const place = digestWord(digest, 0) & (marks - 1);
    const mark = digestWord(digest, 4);
    const isAgain = seen[place] === mark;
    seen[place] = mark;
    return isAgain;
  };
}
