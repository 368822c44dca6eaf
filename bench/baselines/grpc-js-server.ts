// A baseline: stock grpc-js over the authority's own store, in one thread. Says where it listens, ends on SIGTERM.
//
//   node grpc-js-server.ts DATA_DIR [--write]
//
// With --write it also creates and revokes, each call in a transaction of its own.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type handleUnaryCall, Server, ServerCredentials, type ServiceDefinition, status } from "@grpc/grpc-js";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { digestKey, keyHint, mintKey, mintTokenId } from "../../src/authority/key.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { createWriter } from "../../src/stores/sqlite/writer/writer.ts";
import { createCall } from "../population/seed.ts";
import { decide, openLookUp } from "./decide.ts";

const [directory = "", mode] = process.argv.slice(2);
const { database } = dataFiles(directory);
const server = new Server();
if (mode === "--write") {
  serveChanges();
} else {
  serveAuthenticate();
}
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) {
    throw error;
  }
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => process.exit(0));

function serveAuthenticate(): void {
  const lookUp = openLookUp(directory);
  serve(TokenService.method.authenticate, ({ key }) => decide(lookUp, key));
}

function serveChanges(): void {
  const db = openWriterDatabase(database);
  db.pragma("wal_autocheckpoint = 2048");
  const writer = createWriter(db);
  serve(TokenService.method.create, (request) => {
    const key = mintKey("restricted", true);
    const token = {
      id: mintTokenId(),
      digest: digestKey(key),
      account: request.account,
      name: request.name,
      type: "restricted",
      livemode: true,
      keyHint: keyHint(key),
      permissions: request.permissions,
      expiresAtMs: null,
    } as const;
    const outcome = writer.transact(() => writer.create(createCall(token, Date.now()), () => false));
    return outcome.kind === "created" ? { token: { id: token.id }, key } : {};
  });
  serve(TokenService.method.revoke, ({ id, reason }) => {
    const context = { caller: "bench", atMs: Date.now(), bearerKey: null };
    const outcome = writer.transact(() => writer.revoke({ method: "revoke", id, reason, context }));
    return { token: { id: outcome?.kind === "revoked" ? outcome.token.id : "" } };
  });
}

type Method<I extends DescMessage, O extends DescMessage> = {
  readonly name: string;
  readonly parent: { readonly typeName: string };
  readonly input: I;
  readonly output: O;
};

function serve<I extends DescMessage, O extends DescMessage>(
  { name, parent, input, output }: Method<I, O>,
  answer: (request: MessageShape<I>) => MessageInitShape<O>,
): void {
  const definition: ServiceDefinition = {
    [name]: {
      path: `/${parent.typeName}/${name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
      requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
      responseSerialize: (message: MessageShape<O>) => Buffer.from(toBinary(output, message)),
      responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
    },
  };
  const handler: handleUnaryCall<MessageShape<I>, MessageShape<O>> = (call, callback) => {
    try {
      callback(null, create(output, answer(call.request)));
    } catch (error) {
      callback({ code: status.INTERNAL, details: String(error) });
    }
  };
  server.addService(definition, { [name]: handler });
}
