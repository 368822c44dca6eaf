"""The examples of the README, as they stand there."""

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
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_the_example_lets_through_who_may_and_nobody_else(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(EXAMPLES[0])
    with TokenAuthority(authority.address, Plaintext()) as client, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        key = client.create("acct_1", "Till", TokenType.RESTRICTED, permissions=["charges:read"]).key
        other = client.create("acct_1", "Till", TokenType.RESTRICTED, permissions=["events:read"]).key
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "example:app", "--fd", str(listener.fileno()), "--log-level", "warning"],
            cwd=tmp_path,
            env={**ENVIRONMENT, "AUTHORITY": authority.address},
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


def test_the_example_of_keys_issues_one_and_revokes_it(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "keys.py").write_text(EXAMPLES[1])
    environment = {**ENVIRONMENT, "AUTHORITY": authority.address}
    command = [sys.executable, "keys.py"]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
    assert (said.stdout, said.stderr) == ("may act for acct_1\nrefused, token_revoked\n", "")


def test_the_example_of_a_test_passes(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(EXAMPLES[2])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    said = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert "1 passed" in said.stdout, said.stdout
