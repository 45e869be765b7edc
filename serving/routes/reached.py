"""A store that fails, as who asks over HTTP is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.database.connection import StoreError
from serving.problems import STORE_UNAVAILABLE, Problem


@contextmanager
def store_reached() -> Iterator[None]:
    """Answer a store that fails with a problem (503)."""
    try:
        yield
    except StoreError:
        # Its place is nothing to who asks; the log of the database says more.
        raise Problem(STORE_UNAVAILABLE, "Try again; if it stays, tell the server's operator.") from None
