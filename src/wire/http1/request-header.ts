/** The header of a request from Node's flat list of names and values; null when a field is not valid. Never throws. */
export function requestHeader(rawHeaders: readonly string[]): Headers | null {
  const header = new Headers();
  try {
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      header.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
    }
  } catch {
    return null;
  }
  return header;
}

/** All values that a list of names and values has for one lower-case name. */
export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name) {
      values.push(rawHeaders[index + 1] ?? "");
    }
  }
  return values;
}
