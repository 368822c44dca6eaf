import asyncio

import grpclib
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from mix import Expired


class RawCodec(CodecBase):
    """Messages that are bytes already."""

    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class Grpclib:
    version = grpclib.__version__

    def __init__(self, address, path):
        host, _, port = address.rpartition(":")
        self._channel = Channel(host, int(port), codec=RawCodec())
        self._ask = UnaryUnaryMethod(self._channel, path, bytes, bytes)

    async def call(self, request, timeout_s, compressed):
        # grpclib does not compress.
        try:
            return await self._ask(request, timeout=timeout_s)
        except asyncio.TimeoutError as error:
            raise Expired from error
        except GRPCError as error:
            if error.status is Status.DEADLINE_EXCEEDED:
                raise Expired from error
            raise

    async def close(self):
        self._channel.close()
