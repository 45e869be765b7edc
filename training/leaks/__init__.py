"""Look for features that tell the outcome from behind, before a model of them is believed."""

from __future__ import annotations

import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from features.feature import Feature
from features.points import Point
from training.leaks.checks import LATER, Suspects, known_later, told_alone, told_by_gaps
from training.leaks.leak import Leak
from training.leaks.order import row_order, shuffled_time
from training.leaks.scores import Sample
from training.targets import Target

__all__ = ["LATER", "Leak", "find_leaks"]


def find_leaks(
    frame: pd.DataFrame,
    target: Target,
    features: tuple[Feature, ...],
    point: Point,
    *,
    has_calendar: bool,
    seed: int = 0,
) -> tuple[Leak, ...]:
    """What looks like a leak in the inputs of a model of `target`, check by check, by order of features.

    `frame` is the data set with label, features, `patient_id` and `prediction_time`, and the columns of
    `LATER` as far as it has them. It is judged by at most 20,000 labelled rows, every feature on patients
    that its score was not learned from. Warnings, no proof: a strong honest input can be named, and a faint
    leak is not. Without a calendar the order of rows is looked at instead of time. The same rows and
    seed give the same leaks. Raises TrainingError if no feature varies.
    """
    # The products are small, and threads would decide the order of sums.
    with threadpool_limits(limits=1, user_api="blas"):
        sample = Sample.of(frame, target, features, seed=seed)
        suspects = Suspects(sample)
        found = [
            *known_later(sample, frame, point),
            *told_alone(suspects, point),
            *told_by_gaps(suspects, point),
        ]
    if has_calendar:
        found += shuffled_time(sample, frame, seed=seed)
    else:
        found += row_order(sample, len(frame))
    return tuple(found)
