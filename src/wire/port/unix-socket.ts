import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, type Stats, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, join } from "node:path";
import { StartError } from "../../machine/start-error.ts";

/** The smallest sockaddr_un among our systems holds 103 bytes, and the path that is bound first may be 8 longer. */
export const maxUnixPathBytes = 95;

/**
 * Listens on a socket file that only this user can reach, mode 0600 from its first moment. Replaces the file
 * that a crash left; refuses a path where somebody answers or where something else lies. Resolves to a
 * function that removes the file, if it is still this listener's.
 */
export async function listenOnUnixSocket(server: Server, path: string): Promise<() => void> {
  if (Buffer.byteLength(path) > maxUnixPathBytes) {
    throw new StartError(`cannot listen on unix:${path}: the path is longer than ${maxUnixPathBytes} bytes`);
  }
  await removeStaleSocket(path);
  // Bound in a directory nobody else enters and then renamed: no moment with a wider mode, and no umask,
  // which is the whole process's and out of a worker thread's reach.
  const directory = mkdtempSync(`${dirname(path)}/.`);
  try {
    const bound = join(directory, "s");
    await listen(server, bound);
    chmodSync(bound, 0o600);
    renameSync(bound, path);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const own = lstatSync(path);
  return () => removeOwn(path, own);
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function removeStaleSocket(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    return;
  }
  if (!stats.isSocket()) {
    throw new StartError(`cannot listen on unix:${path}: something that is not a socket is there`);
  }
  if (await isAnswered(path)) {
    throw new StartError(`cannot listen on unix:${path}: another process listens there`);
  }
  removeOwn(path, stats);
}

// Only a refused connection proves that there is no listener; any other error may come from a live one.
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function removeOwn(path: string, own: Stats): void {
  const now = lstatSync(path, { throwIfNoEntry: false });
  if (now !== undefined && now.ino === own.ino && now.dev === own.dev) {
    unlinkSync(path);
  }
}
