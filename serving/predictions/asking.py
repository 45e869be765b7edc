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
from serving.champions.loaded import ALL_CHAMPIONS, ChampionSet, Loaded
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

        One without, whose point's own is still to come, or lies after `known_until`, is asked as of then, so
        that it is answered as provisional: nothing is known of the hours until its own time.
        """
        artefact = models[0].model.artefact
        try:
            own = prediction_time(admission, settings_for(models, self.settings.features))
        except AdmissionError as error:
            raise invalid([FieldError("prediction_time", str(error))]) from None
        if own is None or admission.point is not Point.ADMISSION or admission.prediction_time is not None:
            return admission
        ends = [] if known_until is None else [known_until]
        if artefact.training.timeline == "real":
            # Times of shifted records are no clock's.
            ends.append(dt.datetime.now(ZoneInfo(artefact.context.time_zone)).replace(tzinfo=None))
        if own <= min(ends, default=own):
            return admission
        # The sender's clock may be ahead: before the admission there is nothing to predict.
        admitted_at = own - dt.timedelta(hours=artefact.landmark_hours)
        return replace(admission, prediction_time=max(min(ends), admitted_at))


def refused_all(refused: Iterable[str]) -> Problem:
    """The problem (503) of champions that were all refused."""
    return Problem(
        NOT_READY,
        f"Refused: {', '.join(refused)}; GET /v1/models says why. What is put right, or promoted again, is "
        "taken up without a restart.",
    )


def _is_of(model: str, point: Point) -> bool:
    """Whether a refused model is one of the point, by its name; the folder as a whole holds those of each."""
    return model == ALL_CHAMPIONS or model.partition("/")[0].endswith(f"-{point}")


def models_at(champions: ChampionSet, point: Point) -> tuple[Loaded, ...]:
    """The models of a point. Raises Problem if there is none: 422, or 503 if one of them was refused."""
    models = champions.at(point)
    if not models:
        # A champion that cannot be read says no point, but bears it in its name.
        refused = [name for name, _ in champions.refused if _is_of(name, point)]
        if refused:
            raise refused_all(refused)
        known = ", ".join(champions.points)
        message = f"no model predicts at this point; this server has models for: {known}"
        raise Problem(
            NO_MODEL,
            "Ask for another prediction point, or promote a model for this one.",
            [FieldError("prediction_point", message)],
        )
    return models
