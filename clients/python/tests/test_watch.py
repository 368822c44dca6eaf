"""What a client tells an authority that a test speaks for, and what it makes of what it is told."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import grpc
import pytest
from conftest import free_port

from casapay_token_authority import DecisionSource, Plaintext, Question, Settings, TokenAuthority
from casapay_token_authority._proto.casapay.token.v1 import token_pb2, token_service_pb2

NOTHING = Question(())
TIMEOUT_SECONDS = 30


class Watching:
    """One stream."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[token_service_pb2.WatchRequest] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[token_service_pb2.WatchResponse | grpc.StatusCode] = queue.SimpleQueue()

    def serve(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(lambda: self._responses.put(grpc.StatusCode.OK))
        threading.Thread(target=self._read, args=(requests,), daemon=True).start()
        while not isinstance(response := self._responses.get(), grpc.StatusCode):
            yield response
        if response is not grpc.StatusCode.OK:
            context.abort(response, "it stops")

    def _read(self, requests: Iterator[Any]) -> None:
        try:
            for request in requests:
                self.requests.put(request)
                if request.release:
                    self.end(grpc.StatusCode.OK)
        except grpc.RpcError:
            pass

    def end(self, code: grpc.StatusCode) -> None:
        self._responses.put(code)

    def send(self, **event: Any) -> None:
        self._responses.put(token_service_pb2.WatchResponse(**event))

    def grant(self, request: token_service_pb2.WatchRequest, revision: int) -> None:
        """A lease of an hour."""
        lease = token_service_pb2.Lease(sequence=request.sequence, revision=revision, hash=hash_at(revision))
        lease.duration.FromSeconds(3600)
        self.send(lease=lease)

    def until(self, is_so: Callable[[token_service_pb2.WatchRequest], bool]) -> token_service_pb2.WatchRequest:
        """The first request that is so."""
        while not is_so(request := self.requests.get(timeout=TIMEOUT_SECONDS)):
            pass
        return request


class Scripted:
    """An authority that accepts every key."""

    def __init__(self, port: int) -> None:
        self.watches: queue.SimpleQueue[Watching] = queue.SimpleQueue()
        self.server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Watch": grpc.stream_stream_rpc_method_handler(
                self._watch,
                token_service_pb2.WatchRequest.FromString,
                token_service_pb2.WatchResponse.SerializeToString,
            ),
            "Authenticate": grpc.unary_unary_rpc_method_handler(
                self._authenticate,
                token_service_pb2.AuthenticateRequest.FromString,
                token_service_pb2.AuthenticateResponse.SerializeToString,
            ),
        }
        service = grpc.method_handlers_generic_handler("casapay.token.v1.TokenService", handlers)
        self.server.add_generic_rpc_handlers((service,))
        assert self.server.add_insecure_port(f"127.0.0.1:{port}") == port
        self.server.start()

    def _watch(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        watching = Watching()
        self.watches.put(watching)
        yield from watching.serve(requests, context)

    def _authenticate(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        principal = token_service_pb2.Principal(token_id="tok_1", account="acct_1", type=token_pb2.TOKEN_TYPE_SECRET)
        response = token_service_pb2.AuthenticateResponse(principal=principal)
        if request.cache_rules:
            response.revision = 7
            response.cache_for.FromSeconds(3600)
        return response

    def next(self) -> Watching:
        return self.watches.get(timeout=TIMEOUT_SECONDS)


def hash_at(revision: int) -> bytes:
    return revision.to_bytes(32)


class Rig:
    """A client that holds a lease as of revision 7, and decides about the keys "one" and "two" from memory."""

    def __init__(self) -> None:
        self.port = free_port()
        self.authority = Scripted(self.port)
        self.client = TokenAuthority(f"127.0.0.1:{self.port}", Plaintext(), Settings(cache_mib=1))
        self.source("one")
        self.watching = self.authority.next()
        first = self.watching.until(lambda _: True)
        assert (first.sequence, first.applied_revision, first.applied_hash) == (1, 0, b"")
        self.watching.grant(first, 7)
        self.until(DecisionSource.CACHE, "one")
        self.until(DecisionSource.CACHE, "two")

    def source(self, key: str) -> DecisionSource:
        return self.client.authenticate(key, NOTHING).source

    def until(self, source: DecisionSource, key: str) -> None:
        ends_at = time.monotonic() + TIMEOUT_SECONDS
        while self.source(key) is not source:
            assert time.monotonic() < ends_at, f"{key} never comes from the {source}"

    def forget(self, key: str, revision: int, more: bool = False) -> None:
        digest = sha256(key.encode()).digest()
        self.watching.send(forget=token_service_pb2.Forget(revision=revision, digest=digest, more=more))


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.client.close()
    rig.authority.server.stop(None).wait()


def test_a_word_is_applied_before_it_is_acknowledged_with_the_last_of_its_revision(rig: Rig) -> None:
    rig.forget("one", 8, more=True)
    # Answered at once, and kept anew only from the revision of the word on: 1000 is later.
    rig.until(DecisionSource.AUTHORITY, "one")
    assert rig.watching.until(lambda request: request.applied_revision >= 7).applied_revision == 7
    rig.forget("two", 8)
    rig.watching.until(lambda request: request.applied_revision == 8)
    assert rig.source("two") is DecisionSource.AUTHORITY


def test_another_stream_goes_on_where_the_first_one_ended(rig: Rig) -> None:
    rig.forget("one", 8)
    rig.watching.until(lambda request: request.applied_revision == 8)
    rig.watching.end(grpc.StatusCode.UNAVAILABLE)
    first = rig.authority.next().until(lambda _: True)
    # Up to the last lease, with which there came a hash.
    assert (first.sequence, first.applied_revision, first.applied_hash) == (1, 7, hash_at(7))
    assert rig.source("two") is DecisionSource.CACHE


def test_a_reset_forgets_all_and_goes_on_from_there(rig: Rig) -> None:
    rig.watching.send(reset=token_service_pb2.Reset(revision=3, hash=hash_at(3)))
    request = rig.watching.until(lambda request: request.applied_revision == 3)
    assert rig.source("one") is DecisionSource.AUTHORITY
    rig.watching.grant(request, 3)
    rig.until(DecisionSource.CACHE, "one")
    rig.watching.end(grpc.StatusCode.UNAVAILABLE)
    assert rig.authority.next().until(lambda _: True).applied_revision == 3


@pytest.mark.filterwarnings("ignore:the token authority is asked about every key:RuntimeWarning")
def test_an_event_of_a_later_version_may_be_about_any_key(rig: Rig) -> None:
    rig.watching.send()
    rig.until(DecisionSource.AUTHORITY, "one")


def test_a_connection_that_ends_in_good_order_is_left_for_the_next_one(rig: Rig) -> None:
    stopped = rig.authority.server.stop(TIMEOUT_SECONDS)
    next_authority = Scripted(rig.port)
    try:
        second = next_authority.next()
        first = second.until(lambda _: True)
        assert first.applied_revision == 7
        # The first lease is given back only for another one.
        assert not stopped.is_set()
        assert rig.source("one") is DecisionSource.CACHE
        second.grant(first, 7)
        rig.watching.until(lambda request: request.release)
        assert stopped.wait(TIMEOUT_SECONDS)
        assert rig.source("one") is DecisionSource.CACHE
    finally:
        next_authority.server.stop(None)
