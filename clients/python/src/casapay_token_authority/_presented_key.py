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
# HTTP's (OWS, RFC 9110 section 5.6.3): `strip()` alone takes more.
_BLANKS = " \t"


class Conflict(Enum):
    """The request presents more than one key, or a key beside something else."""

    CONFLICT = "conflict"


CONFLICT: Final = Conflict.CONFLICT


def presented_key(authorization: Sequence[str], api_key: Sequence[str]) -> str | Literal[Conflict.CONFLICT] | None:
    """The one key in these values of `Authorization` (Bearer, or Basic as user name) and `X-API-Key`, or None.

    The same key may come twice. Beside a key nothing else may stand, readable or not: whatever reads it after us might
    take the other. Held by clients/vectors/credentials.json, as the authority's own doors are.
    """
    found = {_of_authorization(value) for value in _presentations(authorization)}
    found |= {_of_api_key(value) for value in _presentations(api_key)}
    return CONFLICT if len(found) > 1 else next(iter(found), None)


def _presentations(values: Sequence[str]) -> list[str]:
    joined = ",".join(values)
    # What is too long is read as one that makes no sense.
    parts = ["?"] if len(joined) > _LONGEST_HEADER else joined.split(",")
    return [part.strip(_BLANKS) for part in parts if part.strip(_BLANKS)]


def _of_authorization(value: str) -> str | None:
    match = re.fullmatch(r"(bearer|basic) +([!-~]+)", value[: _LONGEST_CREDENTIALS + 1], re.IGNORECASE)
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
    # Padded or not, but in no other way (RFC 4648): some texts decode to the same bytes.
    written = base64.b64encode(decoded).decode()
    if credentials not in (written, written.rstrip("=")):
        return None
    match = re.fullmatch(r"([!-9;-~]+):", decoded.decode("latin-1"))
    return None if match is None else match[1]


def _of_api_key(value: str) -> str | None:
    return value if re.fullmatch(r"[!-~]{1,512}", value) else None
