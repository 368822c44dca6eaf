/**
 * What of an error may be logged: its kind, code and where it was thrown. Never its message, which may
 * quote what a peer sent.
 */
export function describeError(error: unknown): { error: string; code?: string; stack?: string } {
  if (!(error instanceof Error)) {
    return { error: typeof error };
  }
  const code =
    "code" in error && (typeof error.code === "string" || typeof error.code === "number")
      ? { code: String(error.code) }
      : {};
  const frames = error.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  return {
    error: error.name,
    ...code,
    stack: frames
      .slice(0, 10)
      .map((line) => line.trim())
      .join("\n"),
  };
}
