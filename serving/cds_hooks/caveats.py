"""What must be known before anybody acts upon a card, in few lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.cds_hooks.settings import CdsSettings, Words
from serving.fhir.risk_assessment import AFTER_DISCHARGE
from serving.reasons.brief import about_the_patient, about_the_records, fewest

LATE = dt.timedelta(hours=1)
"""A card that is made longer after its prediction time says that it is."""


@dataclass(frozen=True)
class Shown:
    """What a card rests on: the answer, whose it is, when it is shown, how much of the records is missing.

    `shown_at` is local, in `time_zone`, like the answer's prediction time. `n_foreign` amounts were in
    another currency than `currency`, the models' own. `refused` are targets with a champion that cannot be
    used, be they predicted by the one before it or not.
    """

    answer: Mapping[str, Any]
    patient_id: str
    encounter_id: str
    shown_at: dt.datetime
    time_zone: str
    n_left_out: int = 0
    n_foreign: int = 0
    currency: str = ""
    is_paged: bool = False
    refused: frozenset[str] = frozenset()

    def of(self, target: str) -> Mapping[str, Any] | None:
        """The prediction of a target, if a model made one."""
        found = (one for one in self.answer["predictions"] if one["target"] == target)
        return next(found, None)

    def is_refused(self, target: str) -> bool:
        """Whether a target is not predicted since its model cannot be used."""
        return target in self.refused and self.of(target) is None

    @property
    def time(self) -> str:
        """As of when, with the time zone: the prediction time, of records without dates that of scoring."""
        at = self.answer["prediction_time"]
        zone = self.time_zone if at else "UTC"
        return f"{(at or self.answer['scored_at'])[:16].replace('T', ' ')} ({zone})"

    @property
    def is_late(self) -> bool:
        """Whether records may have come since the prediction time, which are not part of it."""
        at = self.answer["prediction_time"]
        return at is not None and self.shown_at - dt.datetime.fromisoformat(at) > LATE


def caveats(shown: Shown, targets: Iterable[str], settings: CdsSettings) -> list[str]:
    """What the predictions of these targets are worth first, then what the records lack, shortest first."""
    words, answer = settings.words, shown.answer
    told = [words.provisional] if answer["provisional"] else []
    told += about_the_patient(answer["warnings"], settings.language)
    if shown.is_late:
        told.append(words.later.format(time=shown.time))
    has_left = answer["prediction_point"] == "discharge" and not answer["provisional"]
    if not has_left and not set(targets).isdisjoint(AFTER_DISCHARGE):
        told.append(words.before_discharge)
    lacking = about_the_records(answer["warnings"], settings.language, tells_later=shown.is_late)
    return [*told, *fewest([*_left_out(shown, words), *lacking], words.further)]


def _left_out(shown: Shown, words: Words) -> Iterable[str]:
    if shown.is_paged:
        yield words.paged
    if shown.n_left_out:
        yield words.left_out.format(count=shown.n_left_out)
    if shown.n_foreign:
        yield words.foreign.format(count=shown.n_foreign, currency=shown.currency)
