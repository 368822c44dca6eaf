import grpc
import grpc.aio
from mix import Expired


class GrpcioAio:
    version = grpc.__version__

    def __init__(self, address, path):
        # Each channel has connections of its own only with a pool of its own.
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)])
        self._ask = self._channel.unary_unary(path)

    async def call(self, request, timeout_s, compressed):
        compression = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
        try:
            return await self._ask(request, timeout=timeout_s, compression=compression, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Expired from error
            raise

    async def close(self):
        await self._channel.close()
