"""Calls Authenticate as a busy gateway that is written in Python does, by the library that is named, and prints what came of it as one
line of JSON: python main.py LIBRARY ORDER_FILE
"""

import asyncio
import json
import sys

import grpcio_aio
import grpcio_sync
import grpclib_stack
import httpx_stack
import mix

STACKS = {
    "grpcio": grpcio_sync.GrpcioSync,
    "grpcio-aio": grpcio_aio.GrpcioAio,
    "grpclib": grpclib_stack.Grpclib,
    "httpx": httpx_stack.Httpx,
}

if __name__ == "__main__":
    name, file = sys.argv[1:]
    print(json.dumps(asyncio.run(mix.run(STACKS[name], mix.read_order(file)))))
