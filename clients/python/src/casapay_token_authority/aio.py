"""The client for asyncio."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import grpc
import grpc.aio

from casapay_token_authority._operations import Operation, Operations
from casapay_token_authority._watch import open_watch
from casapay_token_authority.errors import (
    AuthorityError,
    client_closed,
    client_elsewhere,
    client_forked,
    error_from_rpc,
)
from casapay_token_authority.settings import Credentials, Settings, channel_options, check_address
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


class AsyncTokenAuthority:
    """Asks the authority, from the tasks of one event loop, over one connection that is made at the first call.

    What is not answered raises `AuthorityError`, and `Undecided`, which is one, where it is about a key.
    """

    def __init__(self, address: str, credentials: Credentials, settings: Settings | None = None) -> None:
        """`address` is HOST:PORT or unix:/PATH. Raises `ValueError` for one that these credentials are not for."""
        check_address(address, credentials)
        self._address = address
        self._credentials = credentials
        self._settings = settings or Settings()
        self._operations = Operations(self._settings)
        self._channel: grpc.aio.Channel | None = None
        self._process_id = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._watch = open_watch(address, credentials, self._settings)
        self._cache = None if self._watch is None else self._watch.cache

    async def authenticate(self, key: str, question: Question, *, timeout: float | None = None) -> Principal | Refusal:
        """Decides whether the key may pass. Raises `Undecided` where nothing was decided."""
        if self._cache is not None:
            decision = self._cache.decide(key, question)
            if decision is not None:
                return decision
        return await self._ask(key, question, timeout)

    async def create(
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
        return await self._call(operation, timeout)

    async def get(self, token_id: str, *, timeout: float | None = None) -> Token:
        """The token of this id, whatever its state."""
        return await self._call(self._operations.get(token_id), timeout)

    async def find_by_digest(self, digest: bytes, *, timeout: float | None = None) -> Token:
        """The token whose key has this SHA-256, whatever its state."""
        return await self._call(self._operations.find_by_digest(digest), timeout)

    async def revoke(self, token_id: str, reason: str = "", *, timeout: float | None = None) -> Revoked:
        """Ends a token for good. Again changes nothing, and answers the first time."""
        return await self._call(self._operations.revoke(token_id, reason), timeout)

    async def rotate_key(
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
        return await self._call(self._operations.rotate_key(token_id, overlap, request_id), timeout)

    async def end_rotation(
        self, token_id: str, end: RotationEnd | datetime, *, timeout: float | None = None
    ) -> RotationEnded:
        """Ends the old key now or at another time, or takes the rotation back."""
        return await self._call(self._operations.end_rotation(token_id, end), timeout)

    async def set_hold(
        self,
        held: bool,
        *,
        token_id: str | None = None,
        account: str | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> Held:
        """Holds a token or an account, or lifts the hold again."""
        return await self._call(self._operations.set_hold(held, token_id, account, reason), timeout)

    async def close_account(self, account: str, reason: str = "", *, timeout: float | None = None) -> Closed:
        """Ends an account for good. Again changes nothing, and answers the first time."""
        return await self._call(self._operations.close_account(account, reason), timeout)

    async def revoke_tokens(
        self,
        wanted: TokenFilter,
        *,
        force: bool = False,
        up_to_revision: int = 0,
        reason: str = "",
        timeout: float | None = None,
    ) -> BulkRevoked:
        """Ends the tokens that match: first a dry run, then with `force` and its `up_to_revision` until it is done."""
        return await self._call(self._operations.revoke_tokens(wanted, force, up_to_revision, reason), timeout)

    async def list_tokens(
        self,
        wanted: TokenFilter = TokenFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Page[Token]:
        """One page, newest first."""
        return await self._call(self._operations.list_tokens(wanted, page_size, page_token), timeout)

    async def list_changes(
        self,
        wanted: ChangeFilter = ChangeFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Page[Change]:
        """One page of the journal, newest first."""
        return await self._call(self._operations.list_changes(wanted, page_size, page_token), timeout)

    async def list_accounts(
        self, prefix: str = "", *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> Page[Account]:
        """One page of the accounts whose name begins with this, in the order of their names."""
        return await self._call(self._operations.list_accounts(prefix, page_size, page_token), timeout)

    def iterate_tokens(
        self,
        wanted: TokenFilter = TokenFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[Token]:
        """All of them. `timeout` is for each page."""
        return _all(lambda token: self.list_tokens(wanted, page_size=page_size, page_token=token, timeout=timeout))

    def iterate_changes(
        self,
        wanted: ChangeFilter = ChangeFilter(),  # noqa: B008 - it never changes
        *,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[Change]:
        """All of them. `timeout` is for each page."""
        return _all(lambda token: self.list_changes(wanted, page_size=page_size, page_token=token, timeout=timeout))

    def iterate_accounts(
        self, prefix: str = "", *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[Account]:
        """All of them. `timeout` is for each page."""
        return _all(lambda token: self.list_accounts(prefix, page_size=page_size, page_token=token, timeout=timeout))

    async def close(self) -> None:
        """Ends the connection. Calls under way and later ones fail with CANCELLED.

        With a cache it gives the lease back first, so that no revocation waits for it: up to half a second.
        """
        self._closed = True
        channel, self._channel = self._channel, None
        if self._watch is not None:
            await asyncio.to_thread(self._watch.close)
        # In a child of a fork gRPC's threads are not there, for which it would wait.
        if channel is not None and self._process_id == os.getpid():
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, key: str, question: Question, timeout: float | None) -> Principal | Refusal:
        operation = self._operations.authenticate(key, question)
        if isinstance(operation, Refusal):
            return operation
        if self._watch is not None:
            self._watch.start()
            fill = self._watch.cache.begin_fill(key, question)
            if fill is not None:
                began = time.monotonic()
                try:
                    answer = await self._call(self._operations.facts(key), timeout)
                except AuthorityError as error:
                    # An authority that is older than the one that granted the lease knows no such question.
                    if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
                        raise
                else:
                    decision = self._watch.cache.end_fill(fill, answer, question)
                    if decision is not None:
                        return decision
                timeout = operation.left(timeout, since=began)
        decision = await self._call(operation, timeout)
        if self._watch is not None:
            self._watch.cache.overrule(key)
        return decision

    async def _call(self, operation: Operation[_Value], timeout: float | None) -> _Value:
        attempts = operation.attempts(timeout)
        while True:
            try:
                return operation.read(await self._attempt(operation, attempts.remaining, attempts.wait_for_ready))
            except AuthorityError as failure:
                pause = attempts.pause_after(failure)
            await asyncio.sleep(pause)

    async def _attempt(self, operation: Operation[_Value], timeout: float, wait_for_ready: bool) -> bytes:
        channel = self._open()
        try:
            rpc: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(operation.path)
            return await rpc(operation.request, timeout=timeout, wait_for_ready=wait_for_ready)
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error
        except grpc.aio.UsageError:
            # Of a closed channel. Everything else that is no RpcError is a fault of this program: it passes.
            if not self._closed:
                raise
            raise client_closed() from None
        except asyncio.CancelledError:
            # A channel that is closed cancels its calls, not the tasks that wait for them.
            task = asyncio.current_task()
            if self._closed and task is not None and task.cancelling() == 0:
                raise client_closed() from None
            raise

    def _open(self) -> grpc.aio.Channel:
        if self._closed:
            raise client_closed()
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._process_id = os.getpid()
            self._loop = loop
            self._channel = _open_channel(self._address, self._credentials, self._settings)
        if self._process_id != os.getpid():
            raise client_forked()
        if self._loop is not loop:
            raise client_elsewhere()
        return self._channel


def _open_channel(address: str, credentials: Credentials, settings: Settings) -> grpc.aio.Channel:
    options = channel_options(settings)
    tls = credentials.channel_credentials()
    if tls is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, tls, options)


async def _all(page_at: Callable[[str], Awaitable[Page[_Item]]]) -> AsyncIterator[_Item]:
    page_token: str | None = ""
    while page_token is not None:
        page = await page_at(page_token)
        for item in page.items:
            yield item
        page_token = page.next_page_token
