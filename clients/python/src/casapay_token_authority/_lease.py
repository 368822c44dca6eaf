"""The right to decide from memory."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

_MAX_APART_SECONDS = 0.25
"""How far the two clocks may move apart while a lease runs: a suspended machine, a pause of a virtual one that was
corrected, a step of the wall clock. What stays below it is in the bound that the authority waits."""


class Clocks(NamedTuple):
    """The two clocks of a machine, in seconds."""

    monotonic: Callable[[], float]
    """Never set. May stand still while the machine is suspended."""
    wall: Callable[[], float]
    """Goes on while the machine is suspended. May be set."""

    def now(self) -> "Moment":
        return Moment(self.monotonic(), self.wall())


MACHINE = Clocks(time.monotonic, time.time)


class Moment(NamedTuple):
    """A reading of both clocks."""

    monotonic: float
    wall: float

    @property
    def ahead(self) -> float:
        """How far the wall clock is before the other."""
        return self.wall - self.monotonic


Lease = tuple[float, float, float, float]
"""Until when on the monotonic clock and on the wall clock, and how far the latter may be before the other: outside of
that, the clocks have moved apart. A plain tuple, which Python takes apart much faster than a named one."""

NO_LEASE: Lease = (-math.inf, -math.inf, -math.inf, math.inf)


def lease_from(asked: Moment, seconds: float) -> Lease:
    """Counted on both clocks, and from before it was asked for: the authority counts from later, and waits longer.

    `asked` is the time before the request was sent that the authority grants.
    """
    ahead = asked.ahead
    return (asked.monotonic + seconds, asked.wall + seconds, ahead - _MAX_APART_SECONDS, ahead + _MAX_APART_SECONDS)


def have_moved(lease: Lease, now: Moment) -> bool:
    """Whether the clocks have moved apart since it was asked for: nothing is known of how long anything was kept."""
    _, _, least_ahead, most_ahead = lease
    return not least_ahead <= now.ahead <= most_ahead
