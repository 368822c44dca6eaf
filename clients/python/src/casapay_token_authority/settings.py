"""How the authority is reached."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc


@dataclass(frozen=True, slots=True)
class Plaintext:
    """No TLS, which the authority serves to its own machine only: addresses of loopback and of unix sockets."""

    def channel_credentials(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class MutualTls:
    """TLS with certificates on both sides. Each is PEM: whom to trust, who we are, and the key to that."""

    ca: bytes
    cert: bytes
    key: bytes = field(repr=False)

    @classmethod
    def from_files(cls, *, ca: str | Path, cert: str | Path, key: str | Path) -> Self:
        """Reads the three files, now: a client that is to use newer ones is made anew."""
        return cls(Path(ca).read_bytes(), Path(cert).read_bytes(), Path(key).read_bytes())

    def __post_init__(self) -> None:
        for name, pem in (("ca", self.ca), ("cert", self.cert), ("key", self.key)):
            if b"-----BEGIN " not in pem:
                raise ValueError(f"{name} must be PEM")

    def channel_credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca, self.key, self.cert)


Credentials = Plaintext | MutualTls


def check_address(address: str, credentials: Credentials) -> None:
    """Raises `ValueError` for an address that is none, or that these credentials are not for."""
    if not re.fullmatch(r"unix:/.+|(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):\d{1,5}", address):
        raise ValueError("address must be HOST:PORT, [IPV6]:PORT or unix:/PATH")
    if isinstance(credentials, Plaintext) and not _is_local(address):
        raise ValueError("plaintext is for loopback and unix sockets: give MutualTls for any other address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Seconds, all of them."""

    authenticate_timeout: float = 3.0
    """The deadline of `authenticate`: the longest that one waits for a decision, retries included."""
    timeout: float = 10.0
    """The deadline of every other call."""
    keepalive: float = 30.0
    """Between HTTP/2 PINGs on a quiet connection, with or without calls under way."""
    keepalive_timeout: float = 10.0
    """What the authority has to answer a PING, and to take what was sent, before the connection is given up."""
    request_ids: bool = True
    """Whether `create` and `rotate_key` make a request id, which needs a sealing secret there: else never retried."""
    cache_mib: int | None = None
    """MiB for what the client keeps to decide from memory, without a call; None for no cache."""

    def __post_init__(self) -> None:
        for name in ("authenticate_timeout", "timeout"):
            check_timeout(name, getattr(self, name))
        for name in ("keepalive", "keepalive_timeout"):
            if not 1 <= getattr(self, name) <= 7200:
                raise ValueError(f"{name} must be from 1 to 7200 seconds")
        if self.cache_mib is not None and not 1 <= self.cache_mib <= 65_536:
            raise ValueError("cache_mib must be from 1 to 65536")


def check_timeout(name: str, seconds: float) -> None:
    """The authority gives no call more than a minute."""
    if not 0 < seconds <= 60:
        raise ValueError(f"{name} must be more than 0 and at most 60 seconds")


def channel_options(settings: Settings) -> list[tuple[str, int]]:
    """What gRPC is told about its one connection."""
    return [
        ("grpc.keepalive_time_ms", int(settings.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout * 1000)),
        # Of the PINGs that measure the bandwidth, 60 seconds else: while one is under way, no other is sent.
        ("grpc.http2.ping_timeout_ms", int(settings.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Left to itself gRPC waits 1, 1.6, 2.6 … 120 seconds, far longer than a restart takes. 100 ms is its floor.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 250),
        # For one attempt to connect, TLS included: 20 seconds else, which a lost packet would cost.
        ("grpc.min_reconnect_backoff_ms", 3000),
        # An authority that moves is looked up again after this, not after 30 seconds.
        ("grpc.dns_min_time_between_resolutions_ms", 1000),
        # http_proxy in the environment is for the world outside. A proxy would see keys.
        ("grpc.enable_http_proxy", 0),
        # gRPC shares connections between channels, and with them how long to wait before the next attempt.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host in ("unix", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
