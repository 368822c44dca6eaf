"""The client for threads."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import grpc

from casapay_token_authority._operations import Operation, Operations
from casapay_token_authority._watch import open_channel, open_watch
from casapay_token_authority.errors import AuthorityError, client_closed, client_forked, error_from_rpc
from casapay_token_authority.settings import Credentials, Settings, check_address
from casapay_token_authority.values import (
    Account,
    BulkRevoked,
    Change,
    ChangeFilter,
    Closed,
    Created,
    Held,
    Page,
    Principal,
    Question,
    Refusal,
    Revoked,
    RotationEnd,
    RotationEnded,
    Token,
    TokenFilter,
    TokenType,
)

_Value = TypeVar("_Value")
_Item = TypeVar("_Item")


class TokenAuthority:
    """Asks the authority, from any number of threads, over one connection that is made at the first call.

    What is not answered raises `AuthorityError`, and `Undecided`, which is one, where it is about a key.
    """

    def __init__(self, address: str, credentials: Credentials, settings: Settings | None = None) -> None:
        """`address` is HOST:PORT or unix:/PATH. Raises `ValueError` for one that these credentials are not for."""
        check_address(address, credentials)
        self._address = address
        self._credentials = credentials
        self._settings = settings or Settings()
        self._operations = Operations(self._settings)
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._process_id = 0
        self._closed = False
        self._watch = open_watch(address, credentials, self._settings)
        self._cache = None if self._watch is None else self._watch.cache

    def authenticate(self, key: str, question: Question, *, timeout: float | None = None) -> Principal | Refusal:
        """Decides whether the key may pass. Raises `Undecided` where nothing was decided."""
        if self._cache is not None:
            decision = self._cache.decide(key, question)
            if decision is not None:
                return decision
        return self._ask(key, question, timeout)

    def create(
        self,
        account: str,
        name: str,
        type: TokenType,  # noqa: A002 - the contract's word
        *,
        livemode: bool = False,
        permissions: Collection[str] = (),
        expires_at: datetime | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Created:
        """Issues a token, and shows its key.

        `request_id` is a UUID, the same for all attempts. One is made where none is given.
        """
        operation = self._operations.create(account, name, type, livemode, permissions, expires_at, request_id)
        return self._call(operation, timeout)

    def get(self, token_id: str, *, timeout: float | None = None) -> Token:
        """The token of this id, whatever its state."""
        return self._call(self._operations.get(token_id), timeout)

    def find_by_digest(self, digest: bytes, *, timeout: float | None = None) -> Token:
        """The token whose key has this SHA-256, whatever its state."""
        return self._call(self._operations.find_by_digest(digest), timeout)

    def revoke(self, token_id: str, reason: str = "", *, timeout: float | None = None) -> Revoked:
        """Ends a token for good. Again changes nothing, and answers the first time."""
        return self._call(self._operations.revoke(token_id, reason), timeout)

    def rotate_key(
        self,
        token_id: str,
        overlap: timedelta = timedelta(),
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Created:
        """Gives a token a new key, and shows it. The old key lives on for the overlap, 7 days at the most.

        `request_id` is a UUID, the same for all attempts. One is made where none is given.
        """
        return self._call(self._operations.rotate_key(token_id, overlap, request_id), timeout)

    def end_rotation(
        self, token_id: str, end: RotationEnd | datetime, *, timeout: float | None = None
    ) -> RotationEnded:
        """Ends the old key now or at another time, or takes the rotation back."""
        return self._call(self._operations.end_rotation(token_id, end), timeout)

    def set_hold(
        self,
        held: bool,
        *,
        token_id: str | None = None,
        account: str | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> Held:
        """Holds a token or an account, or lifts the hold again."""
        return self._call(self._operations.set_hold(held, token_id, account, reason), timeout)

    def close_account(self, account: str, reason: str = "", *, timeout: float | None = None) -> Closed:
        """Ends an account for good. Again changes nothing, and answers the first time."""
        return self._call(self._operations.close_account(account, reason), timeout)

    def revoke_tokens(
        self,
        wanted: TokenFilter,
        *,
        force: bool = False,
        up_to_revision: int = 0,
        reason: str = "",
        timeout: float | None = None,
    ) -> BulkRevoked:
        """Ends the tokens that match: first a dry run, then with `force` and its `up_to_revision` until it is done."""
        return self._call(self._operations.revoke_tokens(wanted, force, up_to_revision, reason), timeout)

    def list_tokens(
        self,
        wanted: TokenFilter = TokenFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Page[Token]:
        """One page, newest first."""
        return self._call(self._operations.list_tokens(wanted, page_size, page_token), timeout)

    def list_changes(
        self,
        wanted: ChangeFilter = ChangeFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Page[Change]:
        """One page of the journal, newest first."""
        return self._call(self._operations.list_changes(wanted, page_size, page_token), timeout)

    def list_accounts(
        self, prefix: str = "", *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> Page[Account]:
        """One page of the accounts whose name begins with this, in the order of their names."""
        return self._call(self._operations.list_accounts(prefix, page_size, page_token), timeout)

    def iterate_tokens(
        self,
        wanted: TokenFilter = TokenFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[Token]:
        """All of them. `timeout` is for each page."""
        return _all(lambda token: self.list_tokens(wanted, page_size=page_size, page_token=token, timeout=timeout))

    def iterate_changes(
        self,
        wanted: ChangeFilter = ChangeFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[Change]:
        """All of them. `timeout` is for each page."""
        return _all(lambda token: self.list_changes(wanted, page_size=page_size, page_token=token, timeout=timeout))

    def iterate_accounts(
        self, prefix: str = "", *, page_size: int = 0, timeout: float | None = None
    ) -> Iterator[Account]:
        """All of them. `timeout` is for each page."""
        return _all(lambda token: self.list_accounts(prefix, page_size=page_size, page_token=token, timeout=timeout))

    def close(self) -> None:
        """Ends the connection. Calls under way and later ones fail with CANCELLED.

        With a cache it gives the lease back first, so that no revocation waits for it: up to half a second.
        """
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
        if self._watch is not None:
            self._watch.close()
        # In a child of a fork gRPC's threads are not there, for which it would wait.
        if channel is not None and self._process_id == os.getpid():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, key: str, question: Question, timeout: float | None) -> Principal | Refusal:
        operation = self._operations.authenticate(key, question)
        if isinstance(operation, Refusal):
            return operation
        if self._watch is not None:
            self._watch.start()
            fill = self._watch.cache.begin_fill(key, question)
            if fill is not None:
                began = time.monotonic()
                try:
                    answer = self._call(self._operations.facts(key), timeout)
                except AuthorityError as error:
                    # An authority that is older than the one that granted the lease knows no such question.
                    if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
                        raise
                else:
                    decision = self._watch.cache.end_fill(fill, answer, question)
                    if decision is not None:
                        return decision
                timeout = operation.left(timeout, since=began)
        decision = self._call(operation, timeout)
        if self._watch is not None:
            self._watch.cache.overrule(key)
        return decision

    def _call(self, operation: Operation[_Value], timeout: float | None) -> _Value:
        attempts = operation.attempts(timeout)
        while True:
            try:
                return operation.read(self._attempt(operation, attempts.remaining, attempts.wait_for_ready))
            except AuthorityError as failure:
                pause = attempts.pause_after(failure)
            time.sleep(pause)

    def _attempt(self, operation: Operation[_Value], timeout: float, wait_for_ready: bool) -> bytes:
        channel = self._open()
        try:
            rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(operation.path)
            return rpc(operation.request, timeout=timeout, wait_for_ready=wait_for_ready)
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error
        except ValueError:
            # What a closed channel raises. Everything else that is no RpcError is a fault of this program: it passes.
            if not self._closed:
                raise
            raise client_closed() from None

    def _open(self) -> grpc.Channel:
        channel = self._channel or self._open_first()
        if self._process_id != os.getpid():
            raise client_forked()
        return channel

    def _open_first(self) -> grpc.Channel:
        with self._lock:
            if self._closed:
                raise client_closed()
            if self._channel is None:
                self._process_id = os.getpid()
                self._channel = open_channel(self._address, self._credentials, self._settings)
            return self._channel


def _all(page_at: Callable[[str], Page[_Item]]) -> Iterator[_Item]:
    page_token: str | None = ""
    while page_token is not None:
        page = page_at(page_token)
        yield from page.items
        page_token = page.next_page_token
