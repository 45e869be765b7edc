"""How long work tells the person who waits where it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(step, done, total)`; the step in words, without a patient's data."""


def silent(_step: str, _done: int, _total: int) -> None:
    """Say nothing."""
