/** The system's code of a failed system call, such as `ENOENT`; null for any other error. */
export function systemCodeOf(error: unknown): string | null {
  return error instanceof Error && "syscall" in error && "code" in error ? String(error.code) : null;
}

/** The disk is full, or this user's part of it. */
export function isFullDisk(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
