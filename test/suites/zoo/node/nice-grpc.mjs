import { createRequire } from "node:module";
import { isAbortError } from "abort-controller-x";
import { ChannelCredentials, ClientError, createChannel, createClientFactory, Status } from "nice-grpc";

const { version } = createRequire(import.meta.url)("nice-grpc/package.json");

export const niceGrpc = {
  version,
  dial(address, path) {
    const bytes = (value) => value;
    const definition = {
      ask: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
        options: {},
      },
    };
    const channel = createChannel(address, ChannelCredentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    const client = createClientFactory().create(definition, channel);
    return {
      async call(request, { timeoutMs, signal }) {
        // Deadlines are a middleware's in nice-grpc: here they are a signal, as its users write it.
        const deadline = AbortSignal.timeout(timeoutMs);
        return client.ask(request, { signal: signal === null ? deadline : AbortSignal.any([signal, deadline]) });
      },
      close: () => channel.close(),
    };
  },
  isCancelled: (error) => isAbortError(error) || (error instanceof ClientError && error.code === Status.CANCELLED),
  isExpired: (error) =>
    error.name === "TimeoutError" || (error instanceof ClientError && error.code === Status.CANCELLED),
};
