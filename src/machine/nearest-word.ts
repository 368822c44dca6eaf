/**
 * The word that this one was likely meant to be: at most two letters differ, of short words one. Null when there is
 * none.
 */
export function nearestWord(word: string, words: readonly string[]): string | null {
  // A text that is much longer than any word is not compared.
  const near = words
    .filter((one) => Math.abs(one.length - word.length) <= 2)
    .map((one) => ({ one, edits: editsBetween(word, one) }))
    .filter(({ one, edits }) => edits <= (one.length < 6 ? 1 : 2))
    .toSorted((a, b) => a.edits - b.edits);
  return near[0]?.one ?? null;
}

/** Letters to add, to take away or to change (Levenshtein). */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [at, letter] of [...from].entries()) {
    const next = [at + 1];
    for (let column = 1; column <= to.length; column += 1) {
      const changed = (row[column - 1] ?? 0) + (to[column - 1] === letter ? 0 : 1);
      next.push(Math.min(changed, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
