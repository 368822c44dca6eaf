"""Round trips between our HPACK and PyPI `hpack`, both ways, on random header lists with table-size changes.

python3 roundtrip.py LISTS [SEED]; needs `pip install hpack` (PYTHONPATH) and node (PATH).
"""

import json
import os
import random
import subprocess
import sys

from hpack import Decoder, Encoder

lists = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
chance = random.Random(seed)
here = os.path.dirname(os.path.abspath(__file__))
bridge = subprocess.Popen(
    ["node", os.path.join(here, "bridge.ts")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
)

NAMES = [":method", ":path", ":status", ":authority", "content-type", "x-request-id", "traceparent", "grpc-timeout", "cookie", "authorization", "x"]
VALUES = ["GET", "POST", "200", "/", "application/grpc", "", "a" * 100, "5000m"]


def text(most):
    return "".join(chr(chance.randrange(256)) for _ in range(chance.randrange(most)))


def pair():
    name = chance.choice(NAMES) if chance.random() < 0.8 else text(30)
    value = chance.choice(VALUES) if chance.random() < 0.6 else text(chance.choice([10, 60, 300]))
    return name, value


def octets(pairs):
    return [(name.encode("latin1"), value.encode("latin1")) for name, value in pairs]


done = 0
changes = 0
while done < lists:
    encoder, decoder = Encoder(), Decoder()
    decoder.max_allowed_table_size = 65_536
    decoder.max_header_list_size = 1 << 24
    reset = True
    for _ in range(min(lists - done, chance.randrange(1, 40))):
        table = None
        if chance.random() < 0.15:
            table = chance.choice([0, 1, 33, 100, 1_000, 4_096, 10_000, 65_536])
            encoder.header_table_size = table
            changes += 1
        pairs = [pair() for _ in range(chance.randrange(15))]
        theirs = encoder.encode(octets(pairs), huffman=chance.random() < 0.7)
        bridge.stdin.write(json.dumps({"reset": reset, "tableBytes": table, "pairs": pairs, "wire": theirs.hex()}) + "\n")
        bridge.stdin.flush()
        answer = json.loads(bridge.stdout.readline())
        reset = False
        assert [tuple(each) for each in answer["decoded"]] == pairs, ("we decoded", answer["decoded"], "of", pairs)
        ours = [(name, value) for name, value in decoder.decode(bytes.fromhex(answer["wire"]), raw=True)]
        assert ours == octets(pairs), ("they decoded", ours, "of", pairs)
        done += 1

bridge.stdin.close()
bridge.wait()
print(f"{done} header lists, {changes} table-size changes, both ways: all equal (seed {seed})")
