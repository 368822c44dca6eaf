"""Which key an HTTP request presents."""

import base64
import binascii
import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal

# Longer credentials are no key's: a key has far fewer characters.
_LONGEST_CREDENTIALS = 512
# A few presentations of one key fit in.
_LONGEST_HEADER = 4096


class Conflict(Enum):
    """The request presents more than one key, or a key beside something else."""

    CONFLICT = "conflict"


CONFLICT: Final = Conflict.CONFLICT


def presented_key(authorization: Sequence[str], api_key: Sequence[str]) -> str | Literal[Conflict.CONFLICT] | None:
    """The one key in these values of `Authorization` (Bearer, or Basic as user name) and `X-API-Key`, or None.

    The same key may come twice. Beside a key nothing else may stand, readable or not: whatever reads it after us might
    take the other.
    """
    found = {_of_authorization(value) for value in _presentations(authorization)}
    found |= {_of_api_key(value) for value in _presentations(api_key)}
    return CONFLICT if len(found) > 1 else next(iter(found), None)


def _presentations(values: Sequence[str]) -> list[str]:
    joined = ", ".join(values)
    # What is too long is read as one that makes no sense.
    parts = ["?"] if len(joined) > _LONGEST_HEADER else joined.split(",")
    return [part.strip() for part in parts if part.strip()]


def _of_authorization(value: str) -> str | None:
    match = re.fullmatch(r"(bearer|basic) +([^ ]+)", value[: _LONGEST_CREDENTIALS + 1], re.IGNORECASE)
    if match is None or len(value) > _LONGEST_CREDENTIALS:
        return None
    scheme, credentials = match.groups()
    return credentials if scheme.lower() == "bearer" else _user_name(credentials)


def _user_name(credentials: str) -> str | None:
    unpadded = credentials.rstrip("=")
    try:
        decoded = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    # Some texts decode to the same bytes: only one of them is what a client writes.
    if base64.b64encode(decoded).decode().rstrip("=") != unpadded:
        return None
    name, *passwords = decoded.decode("latin-1").split(":")
    return name if name and passwords == [""] else None


def _of_api_key(value: str) -> str | None:
    return value if re.fullmatch(r"[!-~]{1,512}", value) else None
