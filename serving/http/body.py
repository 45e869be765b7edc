"""The body of a request, never more of it in memory than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request

from serving.problems import MEDIA_TYPE_REFUSED, TOO_LARGE, TOO_SLOW, Problem
from serving.settings import ServingSettings


def body_within(settings: ServingSettings) -> Callable[[Request], Awaitable[bytes]]:
    """A dependency that reads a JSON body within the settings' size and time.

    It raises Problem (408, 413 or 415).
    """
    max_bytes = settings.max_body_bytes

    async def read_body(request: Request) -> bytes:
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise Problem(MEDIA_TYPE_REFUSED, "Send the header Content-Type: application/json.")
        # A small body could become a large one.
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Problem(MEDIA_TYPE_REFUSED, "Bodies are not unpacked. Send it without Content-Encoding.")
        too_large = Problem(TOO_LARGE, f"At most {max_bytes} bytes are taken. Send a shorter history.")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > max_bytes:
            raise too_large
        content = bytearray()
        try:
            async with asyncio.timeout(settings.body_seconds):
                async for part in request.stream():
                    content += part
                    if len(content) > max_bytes:
                        raise too_large
        except TimeoutError:
            detail = f"It is waited for {settings.body_seconds:g} seconds. Send it faster, or a shorter one."
            raise Problem(TOO_SLOW, detail) from None
        return bytes(content)

    return read_body
