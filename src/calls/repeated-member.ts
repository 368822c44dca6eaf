/**
 * The first name that the outermost object of a JSON text has twice, or null. The text is known to be JSON: JSON.parse
 * keeps the last and says nothing.
 */
export function repeatedMember(text: string): string | null {
  const names = new Set<string>();
  let depth = 0;
  for (const [token, name] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (name !== undefined) {
      const member: unknown = depth === 1 ? JSON.parse(name) : null;
      if (typeof member === "string" && names.has(member)) {
        return member;
      }
      if (typeof member === "string") {
        names.add(member);
      }
    } else if (token === "{" || token === "[") {
      depth += 1;
    } else if (token === "}" || token === "]") {
      depth -= 1;
    }
  }
  return null;
}
