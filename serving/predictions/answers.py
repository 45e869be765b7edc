"""Requests to answers: features of the sent records, every model of the prediction point, one document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from features.points import Point
from features.records import AdmissionRecords
from features.tables import not_sent
from models.columns import Columns
from models.supply import missing_tables
from serving.champions.loaded import ChampionSet, LiveChampions
from serving.operation.metrics import Metrics
from serving.predictions.asked import Asked, Batch, parts
from serving.predictions.asking import Asking, refused_all, sees_all
from serving.predictions.engines import Engines
from serving.predictions.gathering import Gathering
from serving.predictions.predictor import (
    Scores,
    fact_features,
    features_read,
    predict,
    prediction_document,
)
from serving.problems import NOT_READY, Problem, as_problem, failed
from serving.reasons import Telling, tell
from serving.requests.history import HeldHistory
from serving.requests.schema import REQUEST_TABLES
from serving.settings import ServingSettings

Answer = dict[str, Any]

TOLD_PLAINLY = Telling()


class Answers:
    """Answers requests from the champions in force. May be used from many threads at once."""

    def __init__(
        self,
        champions: LiveChampions,
        settings: ServingSettings,
        metrics: Metrics | None = None,
        history: HeldHistory | None = None,
    ) -> None:
        self._champions = champions
        self._asking = Asking(settings, history)
        self._engines = Engines(settings.features)
        self._metrics = metrics or Metrics()
        self._gathering = Gathering[Asked, Answer](self._each_alone, self._metrics.gathered)
        # Batches have workers of their own: a request by itself never waits until a part of one is done.
        self._batches = Gathering[Asked, Answer](self._each_alone, self._metrics.gathered)
        self._metrics.watch_queue(lambda: len(self._gathering) + len(self._batches))

    def present(self) -> ChampionSet:
        """The champions in force, which may be none."""
        return self._champions.current()

    def champions(self) -> ChampionSet:
        """The champions in force. Raises Problem (503) if there is none."""
        champions = self._champions.current()
        if champions.loaded:
            return champions
        if champions.refused:
            raise refused_all(name for name, _ in champions.refused)
        raise Problem(
            NOT_READY,
            "The champions folder holds no model. Train and promote one; it is taken up without a restart.",
        )

    def prepare(self, champions: ChampionSet) -> None:
        """Plan what these champions ask of the records, best before they are in force."""
        self._engines.prepare(champions)

    def close(self) -> None:
        """Wait for what is being computed, and answer no more."""
        self._gathering.close()
        self._batches.close()

    def one(
        self,
        content: object,
        *,
        n_reasons: int | None,
        telling: Telling = TOLD_PLAINLY,
        champions: ChampionSet | None = None,
    ) -> Answer:
        """The answer to one request, by `champions` (None: those in force now). Raises Problem."""
        return self.answer(self.ask(content, n_reasons=n_reasons, telling=telling, champions=champions))

    def ask(
        self,
        content: object,
        *,
        n_reasons: int | None,
        telling: Telling = TOLD_PLAINLY,
        sees: Callable[[str | None], bool] = sees_all,
        champions: ChampionSet | None = None,
    ) -> Asked:
        """A request that was checked, for `champions` (None: those in force now). Raises Problem.

        One without records is about a stay whose history the server holds, if it holds any; `sees` tells
        whose departments' held patients the caller sees.
        """
        champions = self.champions() if champions is None else champions
        return self._asking.asked(content, champions, n_reasons, telling, sees)

    def answer(self, asked: Asked) -> Answer:
        """The answer to a checked request, computed with others that are like it. Raises Problem."""
        return self._gathering.answer(asked, alike=asked.alike, size=asked.n_rows)

    def ask_many(
        self,
        items: Sequence[object],
        *,
        n_reasons: int | None,
        telling: Telling = TOLD_PLAINLY,
        sees: Callable[[str | None], bool] = sees_all,
        champions: ChampionSet | None = None,
    ) -> list[Asked | Problem]:
        """Every item checked, for the same `champions` (None: those in force now); a bad item's problem in
        its place."""
        champions, batch = self.champions() if champions is None else champions, Batch()
        found: list[Asked | Problem] = []
        for content in items:
            try:
                asked = self._asking.asked(content, champions, n_reasons, telling, sees)
                found.append(replace(asked, batch=batch))
            except Problem as problem:
                found.append(problem)
        return found

    def answer_many(self, items: Sequence[Asked | Problem]) -> list[Answer | Problem]:
        """Answers in the order of `items`; problems stay in their places.

        They are computed in parts, those of a point together. A part waits for its turn when the one before
        is answered, so that other batches come in between.
        """
        found: dict[int, Answer | Problem] = {
            place: item for place, item in enumerate(items) if isinstance(item, Problem)
        }
        for part in parts(items):
            asked = [*part.values()]
            size = sum(each.n_rows for each in asked)
            answers = self._batches.answers(asked, alike=asked[0].alike, size=size)
            for place, answer in zip(part, answers, strict=True):
                found[place] = as_problem(answer) if isinstance(answer, Exception) else answer
        return [found[place] for place in range(len(items))]

    def batch(
        self, items: Sequence[object], *, n_reasons: int | None, telling: Telling = TOLD_PLAINLY
    ) -> list[Answer]:
        """Answers in the order of `items`; a bad item has its problem document in its place."""
        found = self.answer_many(self.ask_many(items, n_reasons=n_reasons, telling=telling))
        return [each.document() if isinstance(each, Problem) else each for each in found]

    def _each_alone(self, group: Sequence[Asked]) -> list[Answer | Problem]:
        """Requests that are alike in one go; if that fails, each half by itself: a bad one fails alone.

        They were checked, so that a failure is unforeseen. Requests of several clients are halved until each
        that fails is found, which takes fewer failures than twice their number: nobody is answered as failed
        for another's sake. Of a batch, once too many have failed, what is left is answered as failed too:
        every computation keeps the other requests waiting.
        """
        answers: list[Answer | Problem] = []
        batch, left = group[0].batch, [group]
        while left and (batch is None or batch.failures_left):
            part = left.pop()
            try:
                answers += self._computed(part)
            except Exception as error:
                if batch is not None:
                    batch.failures_left -= 1
                problem = as_problem(error)
                if len(part) == 1:
                    answers.append(problem)
                else:
                    half = len(part) // 2
                    left += [part[half:], part[:half]]
        return answers + [failed() for part in left for _ in part]

    def _computed(self, group: Sequence[Asked]) -> list[Answer]:
        """Answers to requests that are alike: one pass of the features, then every model."""
        models, n_reasons, telling = group[0].models, group[0].n_reasons, group[0].telling
        records = [asked.records for asked in group]
        facts, wanted = fact_features(models, records), features_read(models)
        rows = self._engines.of(models).rows(records, facts, wanted)
        columns = Columns.of_arrays(rows.columns, len(records))
        scores = [
            predict(
                model,
                columns,
                threads=1,
                n_reasons=n_reasons,
                by_family=telling.by_family,
                with_scale=telling.with_scale,
            )
            for model in models
        ]
        self._count(models[0].point, columns, scores)
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
                        none=rows.none[row],
                    )
                    for score in scores
                ],
                "provisional": rows.provisional[row],
                "warnings": _distinct(
                    rows.warnings[row], *(_warnings(score, row, admission) for score in scores)
                ),
                "scored_at": scored_at,
            }
            for row, admission in enumerate(records)
        ]

    def _count(self, point: Point, columns: Columns, scores: Sequence[Scores]) -> None:
        self._metrics.features_built(point, columns)
        for score in scores:
            target, model_id = score.loaded.model.artefact.target, score.loaded.model_id
            self._metrics.predicted(target, model_id, score.prediction.band, score.prediction.percentile)


def _warnings(score: Scores, row: int, admission: AdmissionRecords) -> list[str]:
    """What a model lacks of an admission, as the batch warns of it."""
    lacking = missing_tables(score.loaded.model.artefact, admission.tables.__contains__)
    return [*map(not_sent, lacking), *score.prediction.warnings[row]]


def _distinct(*warnings: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for texts in warnings for text in texts))
