"""One call with grpcio: STUBS TARGET RPC JSON [CA CERT KEY]. Prints {"ok": answer} or {"code": "NOT_FOUND"}.

RPC `reflect` lists the services by reflection v1alpha, the only version that grpcio-reflection speaks.
"""

import json
import sys

import grpc
from google.protobuf import json_format

stubs, target, rpc, request = sys.argv[1:5]
sys.path.insert(0, stubs)


def open_channel():
    if len(sys.argv) == 5:
        return grpc.insecure_channel(target)
    ca, cert, key = (open(path, "rb").read() for path in sys.argv[5:8])
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, cert))


def call(channel):
    if rpc == "reflect":
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

        database = ProtoReflectionDescriptorDatabase(channel)
        file = database.FindFileContainingSymbol("casapay.token.v1.TokenService")
        return {"services": list(database.get_services()), "file": file.name}
    from casapay.token.v1 import token_service_pb2, token_service_pb2_grpc

    message = json_format.ParseDict(json.loads(request), getattr(token_service_pb2, rpc + "Request")())
    answer = getattr(token_service_pb2_grpc.TokenServiceStub(channel), rpc)(message, timeout=10)
    return json_format.MessageToDict(answer)


with open_channel() as channel:
    try:
        print(json.dumps({"ok": call(channel)}))
    except grpc.RpcError as error:
        print(json.dumps({"code": error.code().name, "details": error.details()}))
