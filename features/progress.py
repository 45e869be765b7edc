"""How long work tells the person who waits where it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(step, done, total)`, first with `done` 0 and last with `done` equal to `total`.

The step is named in words, the same in all its calls, without a patient's data.
"""


def silent(_step: str, _done: int, _total: int) -> None:
    """Say nothing."""
