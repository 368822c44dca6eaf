import asyncio

import grpc
from mix import Expired


class GrpcioSync:
    """The futures of grpcio's synchronous channels, which threads of its own complete."""

    version = grpc.__version__

    def __init__(self, address, path):
        self._channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)])
        self._ask = self._channel.unary_unary(path)

    async def call(self, request, timeout_s, compressed):
        compression = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
        call = self._ask.future(request, timeout=timeout_s, compression=compression, wait_for_ready=True)
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        call.add_done_callback(lambda _: loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result(None)))
        try:
            await ended
        except asyncio.CancelledError:
            call.cancel()
            raise
        try:
            return call.result()
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Expired from error
            raise

    async def close(self):
        self._channel.close()
