"""A TCP proxy that forgets connections without a word, as load balancers do."""

import asyncio
import time
from types import TracebackType
from typing import Self


class _Connection:
    def __init__(self) -> None:
        self.began = self.heard = time.monotonic()
        self.forgotten = False
        self.writers: list[asyncio.StreamWriter] = []


class ForgetfulProxy:
    """Stands before `target` (HOST:PORT). What it forgot stays open, and carries nothing."""

    def __init__(self, target: str, *, forgets_after_seconds: float | None = None) -> None:
        self._target = target
        self._forgets_after = forgets_after_seconds
        self._open: list[_Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut_next = False
        self._carried = asyncio.Condition()
        self.address = ""
        self.cuts = 0

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def forgotten(self) -> int:
        return sum(connection.forgotten for connection in self._open)

    def forget(self) -> None:
        """Carries nothing more of any connection that there is."""
        for connection in self._open:
            connection.forgotten = True

    def cut_before_the_next_answer(self) -> None:
        """Ends the connection that sends a request next, when the answer to it comes."""
        self._cut_next = True

    async def has_lived(self, *, seconds: float) -> None:
        """Returns when the first connection was heard from, or was forgotten, this long after it began."""
        first = self._open[0]
        async with self._carried:
            await self._carried.wait_for(lambda: first.forgotten or first.heard - first.began >= seconds)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._open:
            _end(connection)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = _Connection()
        connection.writers.append(to_client)
        self._open.append(connection)
        host, port = self._target.rsplit(":", 1)
        from_server, to_server = await asyncio.open_connection(host, int(port))
        connection.writers.append(to_server)
        for reader, writer, is_answer in ((from_client, to_server, False), (from_server, to_client, True)):
            task = asyncio.create_task(self._carry(connection, reader, writer, is_answer))
            self._tasks.add(task)
        if self._forgets_after is not None:
            self._tasks.add(asyncio.create_task(self._watch(connection, self._forgets_after)))

    async def _carry(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        try:
            while data := await reader.read(65536):
                if connection.forgotten:
                    continue
                if is_answer and self._cut_next:
                    # The answer, and no acknowledgement of settings or PING: a frame of HEADERS is among it.
                    if _has_headers(data):
                        self._cut_next = False
                        self.cuts += 1
                        break
                elif not is_answer:
                    connection.heard = time.monotonic()
                writer.write(data)
                async with self._carried:
                    self._carried.notify_all()
        except OSError:
            pass
        if not connection.forgotten:
            _end(connection)

    async def _watch(self, connection: _Connection, seconds: float) -> None:
        while not connection.forgotten:
            left = connection.heard + seconds - time.monotonic()
            connection.forgotten = left <= 0
            await asyncio.sleep(max(left, 0))
        async with self._carried:
            self._carried.notify_all()


def _has_headers(data: bytes) -> bool:
    """Whether a frame of HTTP/2 with a header block is in what one read brought (RFC 9113 section 4.1)."""
    at = 0
    while at + 9 <= len(data):
        if data[at + 3] == 1:
            return True
        at += 9 + int.from_bytes(data[at : at + 3])
    return False


def _end(connection: _Connection) -> None:
    for writer in connection.writers:
        writer.close()
