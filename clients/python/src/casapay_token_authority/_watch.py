"""Keeps a cache true."""

import os
import queue
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration

from casapay_token_authority._key_cache import KeyCache
from casapay_token_authority._lease import MACHINE, Moment
from casapay_token_authority._proto.casapay.token.v1 import token_service_pb2
from casapay_token_authority.errors import AuthorityError, error_from_rpc
from casapay_token_authority.settings import Credentials, Settings, channel_options

_PATH = "/casapay.token.v1.TokenService/Watch"
_RENEW_SECONDS = 0.5
"""Four times in a lease."""
_REPORT_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25
_MISTAKE_PAUSE_SECONDS = 10.0
"""Where asking again at once does not help: the authority is older, or the role may not watch."""
_SILENT_SECONDS = 10.0
"""Without a lease for so long, a stream is given up."""
_RELEASE_SECONDS = 0.5
"""How long `close` waits for the authority to hear of it."""
_MAX_PENDING = 64
"""As many requests may be unanswered, or wait to be sent: a renewal comes twice a second."""
_MAX_USES = 1000
_MAX_USE_REQUESTS = 10
_MAX_AGE_SECONDS = 3600.0


class _Place(NamedTuple):
    """Up to where a cache knows all changes, with which another stream goes on."""

    revision: int
    hash: bytes


def open_watch(address: str, credentials: Credentials, settings: Settings) -> "Watch | None":
    """With the cache that the settings ask for. Nothing is connected yet."""
    if settings.cache_mib is None:
        return None
    cache = KeyCache(settings.cache_mib * 2**20)
    return Watch(cache, lambda: open_channel(address, credentials, settings))


def open_channel(address: str, credentials: Credentials, settings: Settings) -> grpc.Channel:
    options = channel_options(settings)
    tls = credentials.channel_credentials()
    return grpc.insecure_channel(address, options) if tls is None else grpc.secure_channel(address, tls, options)


class Watch:
    """One stream at a time, and two while the next one takes over.

    It has threads and a connection of its own, so that neither a busy event loop nor many calls delay a word of the
    authority. `lock` guards what its streams know.
    """

    def __init__(self, cache: KeyCache, open_channel: Callable[[], grpc.Channel]) -> None:
        self.cache = cache
        self.lock = threading.RLock()
        self.place: _Place | None = None
        self._open_channel = open_channel
        self._channel: grpc.Channel | None = None
        self._process_id = 0
        self._streams: set[_Stream] = set()
        # The stream that was opened last, and the one whose lease is held.
        self._newest: _Stream | None = None
        self._holder: _Stream | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._report_at = 0.0
        self._warned: set[grpc.StatusCode] = set()
        self._closed = threading.Event()

    def start(self) -> None:
        """Begins, once, in the process that asks first."""
        if self._channel is not None:
            # Without the lock, which a fork may have left held for ever.
            return
        with self.lock:
            if self._channel is not None or self._closed.is_set():
                return
            self._process_id = os.getpid()
            self._channel = self._open_channel()
            self._channel.subscribe(self._on_connectivity)
            threading.Thread(target=self._tick_for_ever, name="token-authority-leases", daemon=True).start()
            self._open()

    def close(self) -> None:
        """Gives the lease back, so that nobody waits for it, and forgets all."""
        self.cache.end_lease()
        if self._channel is not None and self._process_id != os.getpid():
            # The streams are the other process's.
            return
        self._closed.set()
        if self._channel is None:
            return
        with self.lock:
            leased = [each for each in self._streams if each.is_leased]
            for stream in self._streams:
                stream.release()
        for stream in leased:
            stream.ended.wait(_RELEASE_SECONDS)
        self._channel.unsubscribe(self._on_connectivity)
        self._channel.close()
        self.cache.forget_all()

    def _on_connectivity(self, state: grpc.ChannelConnectivity) -> None:
        """A connection that takes no new streams goes on for a while: another one takes over before it ends."""
        with self.lock:
            if state is not grpc.ChannelConnectivity.READY and self._newest and self._newest is self._holder:
                self._open()

    def _open(self) -> None:
        with self.lock:
            if self._closed.is_set() or self._channel is None:
                return
            if self.place is None or self.place.revision == 0:
                # The authority will tell nothing of what was before.
                self.place = None
                self.cache.forget_all()
            stream = _Stream(self, self.place)
            self._streams.add(stream)
            self._newest = stream
        channel = self._channel
        threading.Thread(
            target=lambda: self._end(stream, stream.run(channel)), name="token-authority-watch", daemon=True
        ).start()

    def hold(self, stream: "_Stream") -> None:
        """This stream was granted a lease."""
        if self._holder is not stream:
            if self._holder is not None:
                self._holder.release()
            self._holder = stream
            self._pause = _FIRST_PAUSE_SECONDS

    def _end(self, stream: "_Stream", error: AuthorityError | None) -> None:
        """The lease goes on to its end: what the stream granted is still true."""
        with self.lock:
            self._streams.discard(stream)
            stream.ended.set()
            if self._holder is stream:
                self._holder = None
            if self._newest is not stream or self._closed.is_set():
                return
            self._newest = None
            pause = _MISTAKE_PAUSE_SECONDS if self._is_mistake(error) else self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        # Drawn at random, so that the clients of an authority that starts again do not all come at once.
        self._closed.wait(pause * random.uniform(0.5, 1))
        self._open()

    def _is_mistake(self, error: AuthorityError | None) -> bool:
        if error is None or not (error.is_mistake or error.code is grpc.StatusCode.RESOURCE_EXHAUSTED):
            return False
        if error.code not in self._warned:
            self._warned.add(error.code)
            message = "the token authority is asked about every key, because it does not let itself be watched"
            warnings.warn(f"{message}: {error}", RuntimeWarning, stacklevel=2)
        return True

    def _tick_for_ever(self) -> None:
        while not self._closed.wait(_RENEW_SECONDS):
            # Clocks that moved apart are noticed also while nobody asks.
            self.cache.is_held()
            now = MACHINE.monotonic()
            with self.lock:
                for stream in self._streams:
                    stream.renew()
                if self._holder is not None and now >= self._report_at:
                    self._holder.report_uses()
                    self._report_at = now if self.cache.used_keys else now + _REPORT_SECONDS


class _Stream:
    """The authority's words of what to forget, each applied in its order and then acknowledged, and leases."""

    def __init__(self, watch: Watch, start: _Place | None) -> None:
        self._watch = watch
        self._start = start
        self._outgoing: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._call: grpc.Call | None = None
        self._is_released = False
        self._is_acknowledging = False
        self.is_leased = False
        self._sequence = 0
        self._applied = 0 if start is None else start.revision
        self._asked: dict[int, Moment] = {}
        self._heard_at = MACHINE.monotonic()
        self.ended = threading.Event()

    def run(self, channel: grpc.Channel) -> AuthorityError | None:
        """Returns when it has ended, and why where that was not in good order."""
        rpc = channel.stream_stream(
            _PATH,
            request_serializer=token_service_pb2.WatchRequest.SerializeToString,
            response_deserializer=token_service_pb2.WatchResponse.FromString,
        )
        try:
            self._outgoing.put("first")
            self._call = call = rpc(self._requests(), wait_for_ready=True)
            for response in call:
                with self._watch.lock:
                    self._apply(response)
        except grpc.RpcError as error:
            return error_from_rpc(error)
        except AuthorityError as error:
            call.cancel()
            return error
        except ValueError:
            # Of a channel that is closed.
            return None
        finally:
            self._outgoing.put("end")
        return None

    def renew(self) -> None:
        """Asks for another lease, and gives up a stream on which none comes."""
        if MACHINE.monotonic() - self._heard_at > _SILENT_SECONDS or self._outgoing.qsize() >= _MAX_PENDING:
            if self._call is not None:
                self._call.cancel()
        else:
            self._outgoing.put("renew")

    def report_uses(self) -> None:
        """Reports what was accepted from memory, together with renewals. Some may be left for the next time."""
        for _ in range(min(_MAX_USE_REQUESTS, -(-self._watch.cache.used_keys // _MAX_USES))):
            self._outgoing.put("uses")

    def release(self) -> None:
        """Says that no lease of this stream is held any more, and ends it."""
        if not self._is_released:
            self._is_released = True
            self._outgoing.put("release")

    def _requests(self) -> Iterator[token_service_pb2.WatchRequest]:
        while (what := self._outgoing.get()) != "end":
            yield self._request(what)
            if what == "release":
                return

    def _request(self, what: str) -> token_service_pb2.WatchRequest:
        uses = self._watch.cache.take_uses(_MAX_USES) if what in ("uses", "release") else []
        with self._watch.lock:
            if what == "acknowledge":
                self._is_acknowledging = False
            self._sequence += 1
            if len(self._asked) < _MAX_PENDING:
                # From before the request is sent.
                self._asked[self._sequence] = MACHINE.now()
            request = token_service_pb2.WatchRequest(
                sequence=self._sequence, applied_revision=self._applied, release=what == "release"
            )
        if what == "first" and self._start is not None:
            request.applied_hash = self._start.hash
        for use in uses:
            age = min(use.age, _MAX_AGE_SECONDS)
            request.uses.add(digest=use.digest, age=_duration(age), accepted_count=use.accepted)
        return request

    def _apply(self, response: token_service_pb2.WatchResponse) -> None:
        event = response.WhichOneof("event")
        if event == "lease":
            self._take(response.lease)
        elif event == "forget":
            self._forget(response.forget)
        elif event == "reset":
            self._reset(response.reset)
        else:
            raise self._unknown()

    def _take(self, lease: token_service_pb2.Lease) -> None:
        self._heard_at = MACHINE.monotonic()
        asked = self._asked.get(lease.sequence)
        # The authority waits for a stream that was released no more.
        if asked is None or self._is_released:
            return
        self._asked = {each: moment for each, moment in self._asked.items() if each > lease.sequence}
        self._applied = max(self._applied, lease.revision)
        self._watch.place = _Place(lease.revision, lease.hash)
        self._watch.cache.renew(asked, lease.duration.seconds + lease.duration.nanos / 1e9, lease.revision)
        self.is_leased = True
        self._watch.hold(self)

    def _forget(self, forget: token_service_pb2.Forget) -> None:
        what = forget.WhichOneof("what")
        if what == "digest":
            self._watch.cache.forget_key(forget.digest, forget.revision)
        elif what == "account":
            self._watch.cache.forget_account(forget.account, forget.revision)
        else:
            raise self._unknown()
        # The others of this revision are not applied yet.
        if not forget.more:
            self._applied = max(self._applied, forget.revision)
            self._acknowledge()

    def _reset(self, reset: token_service_pb2.Reset) -> None:
        self._watch.cache.reset(reset.revision)
        self._watch.place = _Place(reset.revision, reset.hash)
        # Where the history is another one, its revisions may be lower.
        self._applied = reset.revision
        self._acknowledge()

    def _unknown(self) -> AuthorityError:
        """What this version does not know may be about any key."""
        self._watch.cache.forget_all()
        self._watch.place = None
        return AuthorityError(grpc.StatusCode.UNIMPLEMENTED, "an event came that this version does not know")

    def _acknowledge(self) -> None:
        """At once, but once for all that came together."""
        if not self._is_acknowledging:
            self._is_acknowledging = True
            self._outgoing.put("acknowledge")


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
