/** The path of an absolute URL as it was sent: a parser of URLs would turn other paths into ours. */
export function rawPath(url: string): string {
  return partsOf(url)[1] ?? "";
}

/** The query of an absolute URL as it was sent, without its question mark; empty where there is none. */
export function rawQuery(url: string): string {
  return partsOf(url)[2] ?? "";
}

function partsOf(url: string): readonly string[] {
  return /^[^:]+:\/\/[^/?#]*([^?#]*)\??([^#]*)/.exec(url) ?? [];
}
