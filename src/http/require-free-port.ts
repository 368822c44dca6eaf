import { once } from "node:events";
import { createServer } from "node:net";
import type { ListenAddress } from "./listen-address.ts";

/**
 * Throws the system's EADDRINUSE when somebody listens there already, one that would share its port included. A unix socket looks
 * for itself, no address needs nothing, and port 0 is always free. A port that is taken right after is found only by a listener that does not share it.
 */
export async function requireFreePort(address: ListenAddress | null): Promise<void> {
  if (address === null || "path" in address || address.port === 0) {
    return;
  }
  // Without SO_REUSEPORT, which both sides must have to share.
  const server = createServer((socket) => socket.destroy());
  server.listen({ host: address.host, port: address.port });
  await once(server, "listening");
  server.close();
  await once(server, "close");
}
