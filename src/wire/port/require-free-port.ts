import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import type { ListenAddress } from "./listen-address.ts";

/**
 * Throws the system's error when nobody can listen there: EADDRINUSE when another listener is there already, also one
 * that would share its port. Null, port 0 and unix sockets pass: the listener of a unix socket looks by itself. A port
 * that is taken right after is found only by a listener that does not share it.
 */
export async function requireFreePort(address: ListenAddress | null): Promise<void> {
  if (address !== null && "path" in address) {
    // As the listener does, which binds in a directory of its own beside the path.
    rmSync(mkdtempSync(`${dirname(address.path)}/.`), { recursive: true });
    return;
  }
  if (address === null || address.port === 0) {
    return;
  }
  // Without SO_REUSEPORT, which both sides must have to share.
  const server = createServer((socket) => socket.destroy());
  server.listen({ host: address.host, port: address.port });
  await once(server, "listening");
  server.close();
  await once(server, "close");
}
