"""Real authorities to ask: each test starts its own, with a data directory of its own."""

import json
import os
import queue
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casapay_token_authority import MutualTls

_START_TIMEOUT_SECONDS = 60
_STOP_TIMEOUT_SECONDS = 20


def _rig(name: str) -> str:
    return os.environ[f"AUTHORITY_RIG_{name}"]


def certificate(name: str) -> MutualTls:
    """The certificate of a role, or of `stranger`."""
    folder = Path(_rig("DIRECTORY"))
    return MutualTls.from_files(ca=folder / "ca.pem", cert=folder / f"{name}.pem", key=folder / f"{name}.key")


def free_port() -> int:
    """A port where nobody listens, below those that the system gives to connections.

    A connection of another test does not have it while its server is away.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Authority:
    """A process of the authority, which can be ended and started again on the same port."""

    def __init__(self, data: Path, settings: dict[str, str]) -> None:
        self._settings = {
            "LISTEN": f"127.0.0.1:{free_port()}",
            "ADMIN_LISTEN": "off",
            "DATA_DIR": str(data),
            "SEALING_SECRET": f"{_rig('DIRECTORY')}/sealing-secret",
            **settings,
        }
        if self._settings["SEALING_SECRET"] == "":
            # It makes itself a secret beside its data, unless the name leads nowhere.
            Path(f"{data}.sealing-secret").symlink_to("nowhere")
        self.address = ""
        self.output: list[str] = []
        self.start()

    def start(self) -> None:
        """Returns when it serves."""
        settings = {f"TOKEN_AUTHORITY_{name}": value for name, value in self._settings.items() if value}
        self._process = subprocess.Popen(
            [_rig("NODE"), _rig("MAIN")],
            env={"PATH": os.environ["PATH"], **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        serving: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(serving,), daemon=True)
        self._reader.start()
        address = serving.get(timeout=_START_TIMEOUT_SECONDS)
        assert address is not None, "the authority did not start:\n" + "\n".join(self.output)
        self.address = address

    def _read(self, serving: "queue.Queue[str | None]") -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.output.append(line.rstrip())
                if '"msg":"listening"' in line:
                    serving.put(json.loads(line)["address"])
        serving.put(None)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Returns when it has ended."""
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(with_signal)
        self._process.wait(timeout=_STOP_TIMEOUT_SECONDS)
        self._reader.join()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None


StartAuthority = Callable[..., Authority]


@pytest.fixture
def start_authority(tmp_path: Path) -> Iterator[StartAuthority]:
    """Starts an authority with these settings (`LOG_LEVEL="warn"`; an empty one takes a default away)."""
    started: list[Authority] = []

    def start(**settings: str) -> Authority:
        authority = Authority(tmp_path / f"data-{len(started)}", settings)
        started.append(authority)
        return authority

    yield start
    for authority in started:
        if authority.runs:
            authority.stop(signal.SIGKILL)


@pytest.fixture
def authority(start_authority: StartAuthority) -> Authority:
    return start_authority()


@pytest.fixture
def tls_settings() -> dict[str, str]:
    folder = _rig("DIRECTORY")
    return {
        "TLS_CERT": f"{folder}/server.pem",
        "TLS_KEY": f"{folder}/server.key",
        "TLS_CLIENT_CA": f"{folder}/ca.pem",
        "CALLERS": f"{folder}/callers.json",
    }
