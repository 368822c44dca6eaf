/** The SQLSTATE of what the database answered, or null for any other error. */
export function sqlStateOf(error: unknown): string | null {
  const code = error instanceof Error && "code" in error ? error.code : null;
  // At least one digit: the system has an EPIPE.
  return typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : null;
}

/** Whether a transaction would do what this one could not: it lost to another one, and left nothing. */
export function isRetryable(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === "40001" || state === "40P01" || (state === "23505" && constraintOf(error) === "journal_pkey");
}

/** Whether the database has no room left. */
export function isFull(error: unknown): boolean {
  return sqlStateOf(error) === "53100";
}

/**
 * Whether a session is of no use after this: the server has ended it (08, 57P0x, 25P03, 25P04), takes no writes
 * (25006), or has other statements prepared than we think (26000, 0A000 after a change of the schema).
 */
export function isLostState(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== null && (state.startsWith("08") || state.startsWith("57P0") || lostStates.has(state));
}

const lostStates: ReadonlySet<string> = new Set(["25006", "25P03", "25P04", "26000", "0A000"]);

/** Whether what the server says beside an answer is more than a remark: those have the state of success. */
export function isWarning(notice: { readonly code?: string | undefined }): boolean {
  return notice.code !== "00000";
}

function constraintOf(error: unknown): unknown {
  return error instanceof Error && "constraint" in error ? error.constraint : null;
}
