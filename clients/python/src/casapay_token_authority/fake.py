"""Clients for unit tests, with an authority in memory.

It is empty at first, decides as the real one does, and forgets all at the end. Every caller may do everything. It has
one page of everything, and refuses filters that it does not know as UNIMPLEMENTED: `account`, `types`, `livemode`,
`states` and `permission` of tokens, `token_id`, `after_revision` and `oldest_first` of changes, and the prefix of
accounts are known. Changes have no hash and no facts.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from casapay_token_authority._fake_service import FakeService
from casapay_token_authority._operations import Operation
from casapay_token_authority.aio import AsyncTokenAuthority
from casapay_token_authority.client import TokenAuthority
from casapay_token_authority.errors import client_closed
from casapay_token_authority.settings import Plaintext, Settings

__all__ = ["FakeAsyncTokenAuthority", "FakeTokenAuthority"]

_SETTINGS = Settings(authenticate_timeout=0.1, timeout=0.1)


def _now() -> datetime:
    return datetime.now(UTC)


class FakeTokenAuthority(TokenAuthority):
    """`TokenAuthority` without an authority."""

    is_down: bool = False
    """While true, calls fail as in an outage: UNAVAILABLE, after 0.1 s."""

    def __init__(self, *, now: Callable[[], datetime] = _now) -> None:
        """`now` is what the fake takes for the time, with a time zone."""
        super().__init__("127.0.0.1:1", Plaintext(), _SETTINGS)
        self._service = FakeService(now)

    def _attempt(self, operation: Operation[Any], timeout: float, wait_for_ready: bool) -> bytes:  # noqa: ARG002
        if self._closed:
            raise client_closed()
        return self._service.answer(operation.path, operation.request, is_down=self.is_down)


class FakeAsyncTokenAuthority(AsyncTokenAuthority):
    """`AsyncTokenAuthority` without an authority."""

    is_down: bool = False
    """While true, calls fail as in an outage: UNAVAILABLE, after 0.1 s."""

    def __init__(self, *, now: Callable[[], datetime] = _now) -> None:
        """`now` is what the fake takes for the time, with a time zone."""
        super().__init__("127.0.0.1:1", Plaintext(), _SETTINGS)
        self._service = FakeService(now)

    async def _attempt(self, operation: Operation[Any], timeout: float, wait_for_ready: bool) -> bytes:  # noqa: ARG002
        if self._closed:
            raise client_closed()
        return self._service.answer(operation.path, operation.request, is_down=self.is_down)
