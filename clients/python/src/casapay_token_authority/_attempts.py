"""How often a call is made, and how long it waits in between."""

import random
import time

import grpc

from casapay_token_authority.errors import AuthorityError

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25


class Attempts:
    """One call, with all its attempts inside one deadline. Only UNAVAILABLE is tried again."""

    def __init__(self, timeout: float, *, may_retry: bool, error: type[AuthorityError], request_id: str | None) -> None:
        self._timeout = timeout
        self._ends = time.monotonic() + timeout
        self._may_retry = may_retry
        self._error = error
        self._request_id = request_id
        self._pause = _FIRST_PAUSE_SECONDS
        self._unavailable: AuthorityError | None = None

    @property
    def remaining(self) -> float:
        """Seconds that the next attempt may take."""
        return max(self._ends - time.monotonic(), 0.001)

    @property
    def wait_for_ready(self) -> bool:
        """Whether the next attempt waits for a connection. The first need not: its error tells why there is none."""
        return self._unavailable is not None or not self._may_retry

    def pause_after(self, failure: AuthorityError) -> float:
        """Seconds until the next attempt. Raises what the whole call fails with where there is none."""
        if failure.code is grpc.StatusCode.DEADLINE_EXCEEDED and self._unavailable is not None:
            # What was in the way says more than the deadline does.
            raise self._as_promised(self._unavailable, given_up=True)
        if failure.code is not grpc.StatusCode.UNAVAILABLE or not self._may_retry:
            raise self._as_promised(failure)
        self._unavailable = failure
        pause = self._pause * random.uniform(0.5, 1)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if time.monotonic() + pause >= self._ends:
            raise self._as_promised(failure, given_up=True)
        return pause

    def _as_promised(self, failure: AuthorityError, *, given_up: bool = False) -> AuthorityError:
        message = f"gave up after {self._timeout:g} s: {failure.message}" if given_up else failure.message
        error = self._error(
            failure.code, message, reason=failure.reason, field=failure.field, request_id=self._request_id
        )
        error.__cause__ = failure.__cause__
        return error
