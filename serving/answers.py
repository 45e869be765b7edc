"""Requests to answers: features of the sent records, every model of the prediction point, one document."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import traceback
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.dataset import CodeSystems
from features.online import AdmissionError, OnlineFeatures, prediction_time
from features.points import Point
from features.records import AdmissionRecords
from serving.gathering import Gathering
from serving.loaded import ChampionSet, LiveChampions, Loaded
from serving.operation.metrics import Metrics
from serving.predictor import Scores, fact_features, predict, prediction_document, settings_for
from serving.problems import INTERNAL, NO_MODEL, NOT_READY, FieldError, Problem, invalid
from serving.reading import read_request, to_admission
from serving.reasons import Telling, tell
from serving.requests import REQUEST_TABLES
from serving.settings import ServingSettings

Answer = dict[str, Any]

TOLD_PLAINLY = Telling()

MAX_FAILURES = 12
"""Computations of one batch that may fail: enough to find one bad item among 1,000 by halving."""

MOST_AT_ONCE = 250
"""Admissions of a batch computed together: others wait for the engine no longer than these take it."""

_log = logging.getLogger("wardcast.serving")


@dataclass(frozen=True)
class _Asked:
    """A request that can be computed: its records in local time, the models that answer, and how."""

    records: AdmissionRecords
    models: tuple[Loaded, ...]
    n_reasons: int | None
    telling: Telling

    @property
    def alike(self) -> tuple[Hashable, ...]:
        """Equal for requests that can be computed together: by the very same models, told alike."""
        return self.n_reasons, self.telling, *(id(model) for model in self.models)


class Answers:
    """Answers requests from the champions in force. May be used from many threads at once."""

    def __init__(
        self, champions: LiveChampions, settings: ServingSettings, metrics: Metrics | None = None
    ) -> None:
        self._champions = champions
        self._settings = settings
        self._features: dict[str, OnlineFeatures] = {}
        self._lock = threading.Lock()
        self._metrics = metrics or Metrics()
        self._gathering = Gathering[_Asked, Answer](self._isolated, self._metrics.gathered)
        self._metrics.watch_queue(lambda: len(self._gathering))

    def present(self) -> ChampionSet:
        """The champions in force, which may be none."""
        return self._champions.current()

    def champions(self) -> ChampionSet:
        """The champions in force. Raises Problem (503) if there is none."""
        champions = self._champions.current()
        if champions.loaded:
            return champions
        names = ", ".join(name for name, _ in champions.refused)
        refused = f"Refused: {names}; GET /v1/models says why."
        state = refused if names else "The champions folder holds no model."
        raise Problem(NOT_READY, f"{state} Train and promote a model; it is taken up without a restart.")

    def prepare(self) -> None:
        """Let the engine plan what the champions in force ask: the first requests would wait for it."""
        champions = self.present()
        for point in champions.points:
            models = champions.at(point)
            self._features_for(models).prepare(point, fact_features(models, ()), dated=models[0].is_dated)

    def one(self, content: object, *, n_reasons: int | None, telling: Telling = TOLD_PLAINLY) -> Answer:
        """The answer to one request. Raises Problem."""
        asked = self._asked(content, self.champions(), n_reasons, telling)
        return self._gathering.answer(asked, alike=asked.alike)

    def batch(
        self, items: Sequence[object], *, n_reasons: int | None, telling: Telling = TOLD_PLAINLY
    ) -> list[Answer]:
        """Answers in the order of `items`; a bad item has its problem document in its place."""
        champions = self.champions()
        answers: dict[int, Answer] = {}
        by_point: dict[Point, dict[int, _Asked]] = {}
        for position, content in enumerate(items):
            try:
                asked = self._asked(content, champions, n_reasons, telling)
                by_point.setdefault(asked.records.point, {})[position] = asked
            except Problem as problem:
                answers[position] = problem.document()
        for group in by_point.values():
            for position, found in zip(group, self._isolated([*group.values()]), strict=True):
                answers[position] = found.document() if isinstance(found, Problem) else found
        return [answers[position] for position in range(len(items))]

    def _asked(
        self, content: object, champions: ChampionSet, n_reasons: int | None, telling: Telling
    ) -> _Asked:
        request = read_request(content, max_rows=self._settings.max_rows)
        models = champions.at(request.point)
        if not models:
            known = ", ".join(champions.points)
            message = f"no model predicts at this point; this server has models for: {known}"
            raise Problem(
                NO_MODEL,
                "Ask for another prediction point, or promote a model for this one.",
                [FieldError("prediction_point", message)],
            )
        context = models[0].model.artefact.context
        if request.currency not in (None, context.currency):
            message = f"differs from the models' currency, {context.currency}; send amounts in that one"
            raise invalid([FieldError("currency", message)])
        systems = CodeSystems.model_validate(context.code_systems)
        admission = to_admission(request, context.time_zone, systems, is_dated=models[0].is_dated)
        try:
            prediction_time(admission, settings_for(models, self._settings.features))
        except AdmissionError as error:
            raise invalid([FieldError("prediction_time", str(error))]) from None
        return _Asked(admission, models, n_reasons, telling)

    def _isolated(self, group: Sequence[_Asked]) -> list[Answer | Problem]:
        """A group in one go, or in few; if one fails, each half by itself, so that a bad item fails alone.

        The items were checked, so that a failure is unforeseen. After `MAX_FAILURES` of them what is left
        is answered as failed too: every computation keeps the other requests waiting.
        """
        answers: list[Answer | Problem] = []
        starts = range(0, len(group), MOST_AT_ONCE)
        n_failures, left = 0, [group[start : start + MOST_AT_ONCE] for start in reversed(starts)]
        while left and n_failures < MAX_FAILURES:
            part = left.pop()
            try:
                answers += self._computed(part)
            except Exception as error:
                n_failures += 1
                problem = as_problem(error)
                if len(part) == 1:
                    answers.append(problem)
                else:
                    half = len(part) // 2
                    left += [part[half:], part[:half]]
        return answers + [_failed() for part in left for _ in part]

    def _computed(self, group: Sequence[_Asked]) -> list[Answer]:
        """Answers to requests that are alike: one pass of the features, then every model."""
        models, n_reasons, telling = group[0].models, group[0].n_reasons, group[0].telling
        records = [asked.records for asked in group]
        rows = self._features_for(models).rows(records, facts=fact_features(models, records))
        scores = [
            predict(
                model,
                rows.features,
                threads=1,
                n_reasons=n_reasons,
                by_family=telling.by_family,
                with_scale=telling.with_scale,
            )
            for model in models
        ]
        self._count(models[0].point, rows.features, scores)
        scored_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return [
            {
                "stay_id": admission.stay_id,
                "prediction_point": admission.point.value,
                "prediction_time": None if (time := rows.prediction_times[row]) is None else time.isoformat(),
                "predictions": [
                    tell(
                        prediction_document(score, row),
                        telling.language,
                        not_sent=REQUEST_TABLES.keys() - admission.tables.keys(),
                    )
                    for score in scores
                ],
                "provisional": rows.provisional[row],
                "warnings": _distinct(
                    rows.warnings[row], *(score.prediction.warnings[row] for score in scores)
                ),
                "scored_at": scored_at,
            }
            for row, admission in enumerate(records)
        ]

    def _count(self, point: Point, features: pd.DataFrame, scores: Sequence[Scores]) -> None:
        self._metrics.features_built(point, features)
        for score in scores:
            target, model_id = score.loaded.model.artefact.target, score.loaded.model_id
            self._metrics.predicted(target, model_id, score.prediction.band, score.prediction.percentile)

    def _features_for(self, models: Sequence[Loaded]) -> OnlineFeatures:
        """The feature builder for models of one basis; made once, since it holds a data engine."""
        artefact = models[0].model.artefact
        systems = CodeSystems.model_validate(artefact.context.code_systems)
        settings = settings_for(models, self._settings.features)
        key = f"{systems.model_dump_json()} {settings}"
        with self._lock:
            if key not in self._features:
                self._features[key] = OnlineFeatures(systems, settings)
            return self._features[key]


def _distinct(*warnings: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for texts in warnings for text in texts))


def as_problem(error: Exception) -> Problem:
    """The problem that answers an error; an unforeseen one is logged by kind and place alone."""
    if isinstance(error, Problem):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    # Never the message: a library may quote a value in it.
    _log.error(json.dumps({"event": "failure", "error": type(error).__name__, "place": place}))
    return _failed()


def _failed() -> Problem:
    return Problem(
        INTERNAL, "The server's log says where. Try again; if it stays, tell the server's operator."
    )
