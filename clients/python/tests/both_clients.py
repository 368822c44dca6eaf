"""The two clients behind one face, so that every test is about both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from casapay_token_authority import AsyncTokenAuthority, Plaintext, Settings, TokenAuthority
from casapay_token_authority.settings import Credentials


class InThreads:
    """The client for threads, as if it were the one for asyncio."""

    def __init__(self, client: TokenAuthority) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        if name.startswith("iterate_"):
            return lambda *args, **kwargs: self._iterate(method, *args, **kwargs)
        return lambda *args, **kwargs: asyncio.to_thread(method, *args, **kwargs)

    async def _iterate(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for item in await asyncio.to_thread(lambda: list(method(*args, **kwargs))):
            yield item


KINDS = ("threads", "asyncio")


@asynccontextmanager
async def connect(
    kind: str, address: str, credentials: Credentials | None = None, settings: Settings | None = None
) -> AsyncIterator[Any]:
    """A client of this kind, which is closed in the end."""
    credentials = credentials or Plaintext()
    if kind == "asyncio":
        async with AsyncTokenAuthority(address, credentials, settings) as client:
            yield client
    else:
        with TokenAuthority(address, credentials, settings) as client:
            yield InThreads(client)
