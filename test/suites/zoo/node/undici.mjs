import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { Client, H2CClient } from "undici";

const { version } = createRequire(import.meta.url)("undici/package.json");

/** Connect's protocol over HTTP/1.1: a connection that a cancelled call is on is closed by undici, and made anew. */
export const undiciHttp1 = stack((address) => new Client(`http://${address}`));

/** Connect's protocol over HTTP/2 in cleartext. */
export const undiciHttp2 = stack((address) => new H2CClient(`http://${address}`, { pipelining: 100 }));

function stack(connect) {
  return {
    version,
    dial(address, path) {
      const client = connect(address);
      return {
        async call(request, { timeoutMs, signal, compressed }) {
          const deadline = AbortSignal.timeout(timeoutMs);
          const { statusCode, body } = await client.request({
            method: "POST",
            path,
            headers: {
              "content-type": "application/proto",
              "connect-protocol-version": "1",
              "connect-timeout-ms": String(timeoutMs),
              ...(compressed ? { "content-encoding": "gzip" } : {}),
            },
            body: compressed ? gzipSync(request) : request,
            signal: signal === null ? deadline : AbortSignal.any([signal, deadline]),
          });
          const answer = Buffer.from(await body.arrayBuffer());
          if (statusCode === 504) {
            throw new DOMException("the server says so", "TimeoutError");
          }
          if (statusCode !== 200) {
            throw new Error(`HTTP status ${statusCode}: ${answer}`);
          }
          return answer;
        },
        close: () => void client.destroy(),
      };
    },
    isCancelled: (error) => error.name === "AbortError",
    isExpired: (error) => error.name === "TimeoutError",
  };
}
