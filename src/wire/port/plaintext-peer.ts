import type { ListenAddress } from "./listen-address.ts";
import type { Peer } from "./peer.ts";
import { isThisMachine } from "./this-machine.ts";

/**
 * The peer of a plaintext connection: from this machine, `local`. The address should keep other machines out; a peer
 * from one has no identity.
 */
export function plaintextPeer(address: ListenAddress, remoteAddress: string | undefined): Peer {
  if ("path" in address) {
    return { transport: "unix", identity: "local", fault: null };
  }
  return isThisMachine(remoteAddress ?? "")
    ? { transport: "loopback", identity: "local", fault: null }
    : { transport: "loopback", identity: null, fault: "PLAINTEXT_FROM_ELSEWHERE" };
}
