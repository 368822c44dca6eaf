"""Who has not confirmed a change, as both clients tell it, by an authority that a test speaks for."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from both_clients import KINDS, connect

from casapay_token_authority import Holder, HolderKind, RotationEnd, Settlement, TokenFilter
from casapay_token_authority._proto.casapay.token.v1 import token_service_pb2

CHANGES = ("Revoke", "RotateKey", "EndRotation", "SetHold", "CloseAccount", "RevokeTokens")


def start_gracious() -> tuple[grpc.Server, str]:
    """An authority with a node that may go on from memory and has confirmed nothing."""
    server = grpc.server(ThreadPoolExecutor(4))

    def handler(name: str) -> Any:
        response = getattr(token_service_pb2, f"{name}Response")(acknowledged_count=3)
        gateway = response.silent.add(kind=token_service_pb2.HOLDER_KIND_GATEWAY, identity="spiffe://casapay/gateway")
        gateway.since_time.FromSeconds(1)
        node = response.unconfirmed.add(kind=token_service_pb2.HOLDER_KIND_NODE, identity="node-2:1")
        node.until_time.FromSeconds(2)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: response,  # noqa: ARG005
            getattr(token_service_pb2, f"{name}Request").FromString,
            type(response).SerializeToString,
        )

    handlers = {name: handler(name) for name in CHANGES}
    service = grpc.method_handlers_generic_handler("casapay.token.v1.TokenService", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


@pytest.mark.parametrize("kind", KINDS)
async def test_tells_who_has_not_confirmed_a_change(kind: str) -> None:
    server, address = start_gracious()
    try:
        async with connect(kind, address) as client:
            answers = [
                await client.revoke("tok_1"),
                await client.rotate_key("tok_1"),
                await client.end_rotation("tok_1", RotationEnd.CUT),
                await client.set_hold(True, account="acct_1"),
                await client.close_account("acct_1"),
                await client.revoke_tokens(TokenFilter(account="acct_1")),
            ]
    finally:
        server.stop(None)
    expected = Settlement(
        3,
        (Holder(HolderKind.GATEWAY, "spiffe://casapay/gateway", heard_at=datetime.fromtimestamp(1, UTC)),),
        (Holder(HolderKind.NODE, "node-2:1", until=datetime.fromtimestamp(2, UTC)),),
    )
    assert [answer.settlement for answer in answers] == [expected] * len(CHANGES)
