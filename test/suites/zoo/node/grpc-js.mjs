import { createRequire } from "node:module";
import { Client, compressionAlgorithms, credentials, Metadata, status } from "@grpc/grpc-js";

const { version } = createRequire(import.meta.url)("@grpc/grpc-js/package.json");

export const grpcJs = {
  version,
  dial(address, path) {
    // Of a client: whether it compresses.
    const [plain, compressing] = [0, 1].map((at) => {
      const algorithm = at === 0 ? {} : { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };
      return new Client(address, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_retries": 0,
        ...algorithm,
      });
    });
    return {
      call(request, { timeoutMs, signal, compressed }) {
        return new Promise((resolve, reject) => {
          const call = (compressed ? compressing : plain).makeUnaryRequest(
            path,
            (bytes) => bytes,
            (bytes) => bytes,
            request,
            new Metadata({ waitForReady: true }),
            { deadline: Date.now() + timeoutMs },
            (error, answer) => (error === null ? resolve(answer) : reject(error)),
          );
          signal?.addEventListener("abort", () => call.cancel());
        });
      },
      close() {
        plain.close();
        compressing.close();
      },
    };
  },
  isCancelled: (error) => error.code === status.CANCELLED,
  isExpired: (error) => error.code === status.DEADLINE_EXCEEDED,
};
