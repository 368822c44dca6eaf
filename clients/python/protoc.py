"""protoc, as grpcio-tools has it, for `buf generate`: what it makes imports its neighbours relatively.

protoc's own Python imports `casapay.token.v1`, a package at the top that would be everybody's.
"""

import re
import sys
from pathlib import Path

from grpc_tools import protoc

exit_code = protoc.main(sys.argv)
for argument in sys.argv:
    _, is_output, folder = argument.partition("_out=")
    for file in Path(folder).rglob("*_pb2.py*") if is_output else ():
        file.write_text(re.sub(r"(?m)^from casapay\.token\.v1 import ", "from . import ", file.read_text()))
sys.exit(exit_code)
