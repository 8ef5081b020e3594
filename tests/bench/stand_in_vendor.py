"""A stand-in for the Magic Hour API, for measuring clients, with a fixed job time.

It does as little as possible, so that the client is measured. It keeps connections alive, takes
uploads of any size without storing them, and gives each project one output of a fixed size, which,
as at the vendor, is named like every other.

    python -m tests.bench.stand_in_vendor JOB_SECONDS OUTPUT_BYTES [CERTIFICATE]
"""

import asyncio
import itertools
import json
import ssl
import sys
import time
from typing import Any

PIECE = 256 * 1024
Headers = dict[str, str]


class StandInVendor:
    """Answers HTTP/1.1 on one port of 127.0.0.1."""

    def __init__(self, job_seconds: float, output_bytes: int) -> None:
        self._job_seconds = job_seconds
        self._output_bytes = output_bytes
        self._ids = itertools.count(1)
        self._created: dict[str, float] = {}
        self.base_url = ""

    async def serve(self, tls: ssl.SSLContext | None) -> None:
        """Say where, and serve until the standard input ends."""
        server = await asyncio.start_server(
            self._answer_all, "127.0.0.1", ssl=tls, backlog=1024, limit=PIECE
        )
        scheme, port = "https" if tls else "http", server.sockets[0].getsockname()[1]
        self.base_url = f"{scheme}://127.0.0.1:{port}"
        print(self.base_url, flush=True)  # noqa: T201 # to who started it
        await asyncio.to_thread(sys.stdin.read)
        server.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode(), reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has hung up
        finally:
            writer.close()

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request, *lines = head.strip().split("\r\n")
        method, path, _ = request.split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        left = int(headers.get("content-length", 0))
        while left:
            left -= len(await reader.read(min(left, PIECE)))
        if path.startswith("/output/"):
            return await self._send_output(writer)
        document = {} if method == "PUT" else self._document(method, path)
        body = json.dumps(document).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        return await writer.drain()

    def _document(self, method: str, path: str) -> dict[str, Any]:
        if path == "/v1/files/upload-urls":
            name = f"api-assets/{next(self._ids)}/image.png"
            item = {"upload_url": f"{self.base_url}/{name}", "file_path": name}
            return {"items": [{**item, "expires_at": "2030-01-01T00:00:00Z"}]}
        if method == "POST":
            project_id = f"project{next(self._ids)}"
            self._created[project_id] = time.monotonic()
            return {"id": project_id, "credits_charged": 50, "frame_cost": 50}
        project_id = path.rpartition("/")[2]
        done = time.monotonic() - self._created[project_id] >= self._job_seconds
        output = {
            "url": f"{self.base_url}/output/{project_id}/output.png",
            "expires_at": "2030-01-01T00:00:00Z",
        }
        return {
            "id": project_id,
            "name": "image",
            "status": "complete" if done else "rendering",
            "type": "IMAGE_UPSCALER",
            "image_count": 1,
            "created_at": "2026-01-01T00:00:00Z",
            "enabled": True,
            "credits_charged": 50,
            "total_frame_cost": 50,
            "downloads": [output] if done else [],
            "error": None,
        }

    async def _send_output(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._output_bytes)
        left, piece = self._output_bytes, bytes(PIECE)
        while left:
            writer.write(piece[:left])
            left -= min(left, PIECE)
            await writer.drain()


def main(job_seconds: str, output_bytes: str, certificate: str = "") -> None:
    """Serve with the arguments of the command line."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    asyncio.run(StandInVendor(float(job_seconds), int(output_bytes)).serve(tls))


if __name__ == "__main__":
    main(*sys.argv[1:])
