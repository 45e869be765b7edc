"""Requests that were checked and can be computed, and the parts in which those of a batch are.

A part is no larger than what others can wait for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from features.points import Point
from features.records import AdmissionRecords
from serving.champions.loaded import Loaded
from serving.predictions.gathering import MOST_SIZE
from serving.problems import Problem
from serving.reasons import Telling

MAX_FAILURES = 12
"""Computations of one batch that may fail: enough to find one bad item among 1,000 by halving."""

MOST_OF_A_BATCH = 125
"""Admissions of a batch computed together: more would hardly be cheaper each, and others wait for them."""


class Batch:
    """What the items of one request share: they are computed with one another alone, and some may fail."""

    def __init__(self) -> None:
        self.failures_left = MAX_FAILURES


@dataclass(frozen=True)
class Asked:
    """A request that can be computed: its records in local time, the models that answer, and how.

    `department` is that of the stay, None where it is not known. `batch` is the one that it came with, None
    for a request by itself.
    """

    records: AdmissionRecords
    department: str | None
    models: tuple[Loaded, ...]
    n_reasons: int | None
    telling: Telling
    batch: Batch | None = None

    @property
    def model_ids(self) -> list[str]:
        """The models that answer, as name/version."""
        return [model.model_id for model in self.models]

    @property
    def n_rows(self) -> int:
        """The rows of its records."""
        return sum(map(len, self.records.tables.values()))

    @property
    def alike(self) -> tuple[Hashable, ...]:
        """Equal for requests that are computed together: by the very same models, told alike, of one batch
        or of none."""
        return self.batch, self.n_reasons, self.telling, *(id(model) for model in self.models)


def parts(items: Sequence[Asked | Problem]) -> Iterator[dict[int, Asked]]:
    """The requests among the items of a batch in parts of one point, each by its place among `items`."""
    of_points: dict[Point, dict[int, Asked]] = {}
    n_rows = Counter[Point]()
    for place, item in enumerate(items):
        if not isinstance(item, Asked):
            continue
        point = item.records.point
        part = of_points.setdefault(point, {})
        if part and (len(part) == MOST_OF_A_BATCH or n_rows[point] + item.n_rows > MOST_SIZE):
            yield part
            part = of_points[point] = {}
            n_rows[point] = 0
        part[place] = item
        n_rows[point] += item.n_rows
    yield from of_points.values()
