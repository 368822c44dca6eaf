import { buildGrpcServer } from "../go/programs.ts";
import type { Transport, Way } from "../runner/way.ts";

/** Stock grpc-go on one core, which finds keys in a map by their SHA-256. */
export function grpcGo(transport: Transport = "cleartext"): Way {
  return {
    name: "grpc-go",
    transport,
    async program({ hotKeys, certificates: { ca, server } }) {
      const files = transport === "TLS 1.3" ? ["-tls-cert", server.cert, "-tls-key", server.key, "-tls-ca", ca] : [];
      return { command: await buildGrpcServer(), args: ["-keys", hotKeys, ...files], env: { GOMAXPROCS: "1" } };
    },
  };
}
