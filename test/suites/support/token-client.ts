import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";

/** What a descriptor says of a unary RPC. */
export type UnaryMethod<I extends DescMessage, O extends DescMessage> = {
  readonly name: string;
  readonly parent: DescService;
  readonly input: I;
  readonly output: O;
};

/** Calls over @grpc/grpc-js, a client that shares no code with the server. */
export type TokenClient = Disposable & {
  /** Rejects with the ServiceError of grpc-js. */
  call<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>>;
};

const deadlineMs = 10_000;

/** `target` is HOST:PORT. */
export function createTokenClient(
  target: string,
  channelCredentials: ChannelCredentials = credentials.createInsecure(),
): TokenClient {
  // A pool of its own: after a kill -9, a connection must not be taken from another client's.
  const client = new Client(target, channelCredentials, {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
  });
  return {
    call(method, request) {
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (message: MessageShape<typeof method.input>) => Buffer.from(toBinary(method.input, message)),
          (bytes) => fromBinary(method.output, bytes),
          create(method.input, request),
          new Metadata(),
          { deadline: Date.now() + deadlineMs },
          (error, response) => {
            if (error !== null) {
              reject(error);
            } else if (response === undefined) {
              reject(new Error("neither an answer nor an error"));
            } else {
              resolve(response);
            }
          },
        );
      });
    },
    [Symbol.dispose]() {
      client.close();
    },
  };
}
