"""The routes that read stored predictions.

Annotations are not put off here: dependencies of a router are made with it.
"""

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from features.points import Point, PointName
from features.scope import OUTSIDE
from models.bands import Band
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.champions.loaded import ChampionSet
from serving.http.description import example, problems
from serving.http.query import only_known
from serving.http.responses import json_response
from serving.reasons import shortened, tell
from serving.reasons.languages import Language
from serving.reasons.telling import language_asked
from serving.requests.schema import Day
from serving.routes.known_targets import TARGET_DESCRIPTION, refuse_unknown
from serving.routes.reached import store_reached
from serving.routes.reads import read_latest
from serving.store.documents import (
    EXAMPLE_STORED_ANSWER,
    EXAMPLE_WORKLIST,
    StoredAnswerDocument,
    WorklistDocument,
)
from serving.store.predictions import PredictionStore
from serving.store.worklist import MAX_TOP, Sort, WorklistRow

_STATUSES = (401, 403, 422, 503)
_FILTERS = ("department", "band", "target", "sort", "top", "prediction_point", "since", "language")

ShortText = Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


def router(
    access: Access, audit: AuditLog, store: PredictionStore, champions: Callable[[], ChampionSet]
) -> APIRouter:
    """The routes `/v1/admissions/{stay_id}/prediction` and `/v1/worklist`."""
    routes = APIRouter(tags=["stored predictions"])
    Reader = Annotated[Caller, Depends(access.needs(Permission.READ_PREDICTIONS))]  # noqa: N806 - a type
    Told = Annotated[Language, Depends(language_asked)]  # noqa: N806 - a type

    @routes.get(
        # A stay's identifier may hold a slash.
        "/v1/admissions/{stay_id:path}/prediction",
        response_model=StoredAnswerDocument,
        responses=problems(404, *_STATUSES) | example(EXAMPLE_STORED_ANSWER),
    )
    def prediction(
        caller: Reader,
        _only_known: Annotated[None, Depends(only_known("prediction_point", "language", "explain"))],
        language: Told,
        stay_id: str,
        prediction_point: Annotated[
            PointName | None, Query(description="default: the point that was predicted last")
        ] = None,
        explain: Annotated[
            Literal["full"] | None,
            Query(description="full: every reason that was stored, and their scale where it was"),
        ] = None,
    ) -> Response:
        """The latest stored prediction of an admission, as it was answered. Another department's is 404."""
        point = None if prediction_point is None else Point(prediction_point)
        found = read_latest(store, audit, caller, stay_id, action="read_prediction", point=point)
        kept = found.document["predictions"]
        predictions = [tell(one if explain else shortened(one), language) for one in kept]
        return json_response({**found.document, "predictions": predictions, "stored_by": found.stored_by})

    @routes.get(
        "/v1/worklist",
        response_model=WorklistDocument,
        responses=problems(*_STATUSES) | example(EXAMPLE_WORKLIST),
    )
    def worklist(
        caller: Reader,
        _only_known: Annotated[None, Depends(only_known(*_FILTERS))],
        language: Told,
        department: Annotated[
            ShortText | None, Query(description="default: all that the caller sees")
        ] = None,
        band: Annotated[Band | None, Query(description="default: every band")] = None,
        target: Annotated[
            str, Query(pattern="^[a-z_]{1,50}$", description=TARGET_DESCRIPTION)
        ] = "readmission",
        sort: Annotated[Sort, Query(description="the highest, or the newest, first")] = "value",
        top: Annotated[int, Query(ge=1, le=MAX_TOP)] = 50,
        prediction_point: Annotated[
            PointName | None, Query(description="default: of each stay the one that it came to last")
        ] = None,
        since: Annotated[
            Day | None,
            Query(description="predictions as of this day on; default: 30 days before the newest one"),
        ] = None,
    ) -> Response:
        """The latest prediction of one target, each stay once: what planners work through."""
        departments = caller.departments
        if department is not None:
            departments = frozenset({department} if caller.sees(department) else ())
        with store_reached():
            found = store.worklist(
                departments=departments,
                band=band,
                target=target,
                sort=sort,
                top=top,
                point=None if prediction_point is None else Point(prediction_point),
                since=None if since is None else dt.datetime.combine(since, dt.time()),
            )
            if not found.rows:
                refuse_unknown(target, champions(), store)
        if found.rows:
            models = {str(row.prediction["model"]) for row in found.rows}
            audit.record(caller, "read_worklist", [row.stay_id for row in found.rows], sorted(models))
        items = [_item(row, language) for row in found.rows]
        return json_response({"target": target, "n_total": found.n_total, "items": items})

    return routes


def _item(row: WorklistRow, language: Language) -> dict[str, Any]:
    return {
        "stay_id": row.stay_id,
        "prediction_point": row.prediction_point,
        "prediction_time": None if row.prediction_time is None else row.prediction_time.isoformat(),
        "department": row.department,
        "provisional": row.provisional,
        "prediction": tell(shortened(row.prediction), language),
        "outside_population": any(warning.startswith(OUTSIDE) for warning in row.warnings),
        "warnings": list(row.warnings),
        "scored_at": row.scored_at.isoformat().replace("+00:00", "Z"),
    }
