import gzip

import httpx
from mix import Expired


class Httpx:
    """Connect's protocol over HTTP/2 with prior knowledge."""

    version = httpx.__version__

    def __init__(self, address, path):
        limits = httpx.Limits(max_connections=1)
        self._client = httpx.AsyncClient(http1=False, http2=True, limits=limits)
        self._url = f"http://{address}{path}"

    async def call(self, request, timeout_s, compressed):
        headers = {
            "content-type": "application/proto",
            "connect-protocol-version": "1",
            "connect-timeout-ms": str(round(timeout_s * 1000)),
        }
        if compressed:
            headers["content-encoding"] = "gzip"
            request = gzip.compress(request)
        try:
            response = await self._client.post(self._url, content=request, headers=headers, timeout=timeout_s)
        except httpx.TimeoutException as error:
            raise Expired from error
        if response.status_code == httpx.codes.GATEWAY_TIMEOUT:
            raise Expired
        response.raise_for_status()
        return response.content

    async def close(self):
        await self._client.aclose()
