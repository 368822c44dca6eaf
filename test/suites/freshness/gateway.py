"""A gateway with the client for Python, for the driver: python gateway.py SOCKET AUTHORITY CACHE_MIB

A line of the driver is a number and a key. The answer is the number, what the key was found to be (accept, refuse,
unknown, undecided), and who decided (authority, cache).
"""

import socketserver
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from casapay_token_authority import (
    AuthorityError,
    Plaintext,
    Principal,
    Question,
    RefusalReason,
    Settings,
    TokenAuthority,
)

SOCKET, ADDRESS, CACHE_MIB = sys.argv[1], sys.argv[2], int(sys.argv[3])
QUESTION = Question(permissions=())
UNKNOWN = {RefusalReason.KEY_UNKNOWN, RefusalReason.KEY_MALFORMED}

authority = TokenAuthority(ADDRESS, Plaintext(), Settings(cache_mib=CACHE_MIB or None))


def answer_to(key: str) -> str:
    try:
        outcome = authority.authenticate(key, QUESTION)
    except AuthorityError:
        return "undecided authority"
    if isinstance(outcome, Principal):
        return f"accept {outcome.source}"
    return f"{'unknown' if outcome.reason in UNKNOWN else 'refuse'} {outcome.source}"


class Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        write_lock = Lock()

        def answer(line: str) -> None:
            number, key = line.split()
            text = f"{number} {answer_to(key)}\n".encode()
            with write_lock:
                self.wfile.write(text)

        with ThreadPoolExecutor(8) as pool:
            for line in self.rfile:
                pool.submit(answer, line.decode())


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


with Server(SOCKET, Conversation) as server:
    print("ready", flush=True)
    server.serve_forever()
