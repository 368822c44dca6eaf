"""The example of the README, as it stands there."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from conftest import Authority

from casapay_token_authority import Plaintext, TokenAuthority, TokenType

README = Path(__file__).parents[1] / "README.md"


def test_the_example_lets_through_who_may_and_nobody_else(authority: Authority, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    with TokenAuthority(authority.address, Plaintext()) as client, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        key = client.create("acct_1", "Till", TokenType.RESTRICTED, permissions=["charges:read"]).key
        other = client.create("acct_1", "Till", TokenType.RESTRICTED, permissions=["events:read"]).key
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "example:app", "--fd", str(listener.fileno()), "--log-level", "warning"],
            cwd=tmp_path,
            env={**os.environ, "AUTHORITY": authority.address, "PYTHONPATH": os.pathsep.join(sys.path)},
            pass_fds=[listener.fileno()],
        )
        try:
            # The socket listens already: the first request waits until the app serves.
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/charges"
            answers = [httpx.get(url, headers={"X-API-Key": each}, timeout=30) for each in (str(key), str(other), "")]
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert answers[0].json() == {"account": "acct_1", "charges": []}
    assert [answer.status_code for answer in answers] == [200, 403, 401]
