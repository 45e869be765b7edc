"""Contents to requests that can be computed: read, checked, by which models, as of when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from features.dataset import CodeSystems
from features.online import AdmissionError, prediction_time
from features.points import Point
from features.records import AdmissionRecords
from serving.champions.loaded import ChampionSet, Loaded
from serving.predictions.asked import Asked
from serving.predictions.predictor import settings_for
from serving.problems import NO_MODEL, NOT_READY, FieldError, Problem, invalid
from serving.reasons import Telling
from serving.requests.department import department_of_records
from serving.requests.history import HeldHistory, read_held_request
from serving.requests.reading import read_request, to_admission
from serving.settings import ServingSettings


def sees_all(_department: str | None) -> bool:
    """What a caller of every department sees."""
    return True


@dataclass(frozen=True)
class Asking:
    """Makes requests of contents: of the records sent, or of the `history` that the server holds, if any."""

    settings: ServingSettings
    history: HeldHistory | None

    def asked(
        self,
        content: object,
        champions: ChampionSet,
        n_reasons: int | None,
        telling: Telling,
        sees: Callable[[str | None], bool],
    ) -> Asked:
        """The request, for the models of its point among `champions`. Raises Problem."""
        if self.history is not None and isinstance(content, Mapping) and "records" not in content:
            held_request = read_held_request(content)
            models = models_at(champions, held_request.point)
            context, is_dated = models[0].model.artefact.context, models[0].is_dated
            held = self.history.held(held_request, context, sees, is_dated=is_dated)
            records = self._timed(held.records, models, known_until=held.known_until)
            return Asked(records, held.department, models, n_reasons, telling)
        request = read_request(content, max_rows=self.settings.max_rows)
        models = models_at(champions, request.point)
        context = models[0].model.artefact.context
        if request.currency not in (None, context.currency):
            message = f"differs from the models' currency, {context.currency}; send amounts in that one"
            raise invalid([FieldError("currency", message)])
        systems = CodeSystems.model_validate(context.code_systems)
        admission = to_admission(request, context.time_zone, systems, is_dated=models[0].is_dated)
        admission = self._timed(admission, models)
        return Asked(admission, department_of_records(admission), models, n_reasons, telling)

    def _timed(
        self,
        admission: AdmissionRecords,
        models: Sequence[Loaded],
        *,
        known_until: dt.datetime | None = None,
    ) -> AdmissionRecords:
        """The admission with a prediction time that the models allow. Raises Problem (422) if it has none.

        One whose time, asked for or the point's own, is still to come, or lies after `known_until`, is asked
        as of then, so that it is answered as provisional: nothing is known of the hours until its own time.
        """
        artefact = models[0].model.artefact
        try:
            asked_at = prediction_time(admission, settings_for(models, self.settings.features))
        except AdmissionError as error:
            raise invalid([FieldError("prediction_time", str(error))]) from None
        ends = [] if known_until is None else [known_until]
        if artefact.training.timeline == "real":
            # Times of shifted records are no clock's.
            ends.append(dt.datetime.now(ZoneInfo(artefact.context.time_zone)).replace(tzinfo=None))
        if asked_at is None or asked_at <= min(ends, default=asked_at):
            return admission
        # The sender's clock may be ahead: before the admission, or the booking, there is nothing to predict.
        return replace(admission, prediction_time=max(min(ends), _begin(admission)))


def _begin(admission: AdmissionRecords) -> dt.datetime:
    """When the stay was admitted; at preadmission, when it was booked."""
    stay = next(row for row in admission.tables["stays"] if row["stay_id"] == admission.stay_id)
    begin = stay["booked_at" if admission.point is Point.PREADMISSION else "admitted_at"]
    assert isinstance(begin, dt.datetime), "a request without it was refused"
    return begin


def refused_all(refused: Iterable[str]) -> Problem:
    """The problem (503) of champions that were all refused."""
    return Problem(
        NOT_READY,
        f"Refused: {', '.join(refused)}; GET /v1/models says why. What is put right, or promoted again, is "
        "taken up without a restart.",
    )


def promoted_at(champions: ChampionSet, point: Point) -> tuple[Loaded, ...]:
    """The models of a point, none where none was promoted. Raises Problem (503) if all were refused."""
    models = champions.at(point)
    if not models and (refused := champions.refused_at(point)):
        raise refused_all(refused)
    return models


def models_at(champions: ChampionSet, point: Point) -> tuple[Loaded, ...]:
    """The models of a point. Raises Problem if there is none: 422, or 503 if one of them was refused."""
    models = promoted_at(champions, point)
    if not models:
        known = ", ".join(champions.points)
        message = f"no model predicts at this point; this server has models for: {known}"
        raise Problem(
            NO_MODEL,
            "Ask for another prediction point, or promote a model for this one.",
            [FieldError("prediction_point", message)],
        )
    return models
