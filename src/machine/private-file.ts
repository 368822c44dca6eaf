import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
  writeSync,
} from "node:fs";
// biome-ignore lint/style/noRestrictedImports: a fact of the system, and no setting: whose files these must be
import { geteuid } from "node:process";
import { StartError } from "./start-error.ts";

// Far more than a key takes, and no more than a start can afford.
const maxBytes = 1024 * 1024;

/**
 * Reads a file that holds a secret, following links. Throws a StartError, which names the file and what to do, when it
 * cannot be read, or when others than this user and root can read it or put another in its place.
 *
 * The rule is PostgreSQL's for its server key: mode 0600 or less of this user's file, and 0640 or less of root's, as
 * systemd and Kubernetes hand over credentials. `what` says what is in it: "the sealing secret".
 */
export function readPrivateFile(path: string, what: string): Buffer {
  let descriptor: number;
  try {
    // Without O_NONBLOCK, opening a pipe without a writer would wait.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(path, what, error);
  }
  try {
    requirePrivate(path, what, fstatSync(descriptor), geteuid?.());
    return readFileSync(descriptor);
  } catch (error) {
    throw error instanceof StartError ? error : unreadable(path, what, error);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes a file with mode 0600, whatever the umask, and writes this into it, through to the disk. Throws the system's
 * EEXIST when anything is there, a link that leads nowhere included: nothing is followed, and nothing overwritten.
 */
export function createPrivateFile(path: string, content: Uint8Array = new Uint8Array()): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const descriptor = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    fchmodSync(descriptor, 0o600);
    let written = 0;
    while (written < content.length) {
      written += writeSync(descriptor, content, written);
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the names in a directory survive a power cut. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Throws a StartError on anything but a regular file, a link to one included. Does not open it. */
export function requireRegularFile(path: string): void {
  const stats = lstatSync(path);
  if (!stats.isFile()) {
    throw new StartError(
      `${path}: is ${stats.isSymbolicLink() ? "a link, which is not followed" : "no regular file"}: remove it`,
    );
  }
}

/** `user` is undefined where the system knows neither owners nor modes. */
function requirePrivate(path: string, what: string, stats: Stats, user: number | undefined): void {
  if (!stats.isFile()) {
    throw new StartError(`${path}: ${what} must be a regular file`);
  }
  if (stats.size > maxBytes) {
    throw new StartError(`${path}: ${what} must be at most ${maxBytes} bytes`);
  }
  if (user === undefined) {
    return;
  }
  if (stats.uid !== user && stats.uid !== 0) {
    throw new StartError(
      `${path}: ${what} belongs to another user (uid ${stats.uid}), who can read and replace it: run chown ${user} on it, and chmod 600`,
    );
  }
  const openTo = stats.mode & (stats.uid === user ? 0o077 : 0o027);
  if (openTo !== 0) {
    const mode = (stats.mode & 0o777).toString(8);
    throw new StartError(`${path}: ${what} is open to others than its owner (mode ${mode}): run chmod 600 on it`);
  }
}

function unreadable(path: string, what: string, error: unknown): StartError {
  const code = error instanceof Error && "code" in error ? error.code : "unknown";
  const hint = code === "EACCES" ? `: start as its owner, or run chown ${geteuid?.()} on it` : "";
  return new StartError(`${path}: ${what} cannot be read (${code})${hint}`, { cause: error });
}
