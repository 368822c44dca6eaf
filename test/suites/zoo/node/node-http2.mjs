import { connect, constants } from "node:http2";
import { gzipSync } from "node:zlib";

/** gRPC by hand on node:http2. */
export const nodeHttp2 = {
  version: process.versions.node,
  dial(address, path) {
    const session = connect(`http://${address}`);
    const gone = new Promise((_, reject) => {
      session.on("error", reject).on("goaway", (code) => reject(new Error(`GOAWAY ${code}`)));
    });
    gone.catch(() => {});
    return {
      call(request, { timeoutMs, signal, compressed }) {
        const body = compressed ? gzipSync(request) : request;
        const message = Buffer.alloc(5 + body.length);
        message.writeUInt8(compressed ? 1 : 0);
        message.writeUInt32BE(body.length, 1);
        body.copy(message, 5);
        const answered = new Promise((resolve, reject) => {
          const stream = session.request({
            ":method": "POST",
            ":path": path,
            "content-type": "application/grpc",
            te: "trailers",
            "grpc-timeout": `${timeoutMs}m`,
            ...(compressed ? { "grpc-encoding": "gzip" } : {}),
          });
          const chunks = [];
          let grpcStatus = null;
          const end = (error) => {
            reject(error);
            stream.close(constants.NGHTTP2_CANCEL);
          };
          const timer = setTimeout(() => end(new DOMException("too late", "TimeoutError")), timeoutMs);
          signal?.addEventListener("abort", () => end(signal.reason));
          stream
            .on("response", (headers) => {
              grpcStatus = headers["grpc-status"] ?? null;
            })
            .on("trailers", (headers) => {
              grpcStatus = headers["grpc-status"] ?? null;
            })
            .on("data", (chunk) => chunks.push(chunk))
            .on("error", reject)
            .on("close", () => {
              clearTimeout(timer);
              if (grpcStatus === "4") {
                reject(new DOMException("the server says so", "TimeoutError"));
              } else if (grpcStatus === "0") {
                resolve(Buffer.concat(chunks).subarray(5));
              } else {
                reject(new Error(`grpc-status ${grpcStatus}, RST_STREAM ${stream.rstCode}`));
              }
            })
            .end(message);
        });
        return Promise.race([answered, gone]);
      },
      close: () => session.destroy(),
    };
  },
  isCancelled: (error) => error.name === "AbortError",
  isExpired: (error) => error.name === "TimeoutError",
};
