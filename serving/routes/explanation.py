"""The route that draws a stored prediction.

Annotations are not put off here: dependencies of a router are made with it.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from features.points import Point, PointName
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.champions.loaded import ChampionSet
from serving.http.description import problems
from serving.http.query import only_known
from serving.reasons.bars import MAX_BARS
from serving.reasons.languages import WORDS, Language
from serving.reasons.scale import rescaled
from serving.reasons.telling import language_asked
from serving.reasons.waterfall import DEFAULT_BARS, DEFAULT_WIDTH, LEAST_WIDTH, MOST_WIDTH, waterfall
from serving.routes.known_targets import TARGET_DESCRIPTION, refuse_unknown
from serving.routes.reached import store_reached
from serving.routes.reads import read_latest
from serving.store.predictions import PredictionStore

MEDIA_TYPE = "image/svg+xml"
# A picture that is opened by itself loads and runs nothing, whatever a label holds.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Language",
}
_PARAMETERS = ("target", "prediction_point", "bars", "width", "language")
_EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": "<svg …>…</svg>"}},
    }
}


def router(
    access: Access, audit: AuditLog, store: PredictionStore, champions: Callable[[], ChampionSet]
) -> APIRouter:
    """The route `/v1/admissions/{stay_id}/explanation.svg`.

    `champions` gives the models in force: a prediction that was stored without its scale gets it from its
    own model, as long as that is one of them.
    """
    routes = APIRouter(tags=["stored predictions"])
    Reader = Annotated[Caller, Depends(access.needs(Permission.READ_PREDICTIONS))]  # noqa: N806 - a type

    @routes.get(
        # A stay's identifier may hold a slash.
        "/v1/admissions/{stay_id:path}/explanation.svg",
        response_class=Response,
        responses=problems(401, 403, 404, 422, 503) | _EXAMPLE,
    )
    def explanation(
        caller: Reader,
        _only_known: Annotated[None, Depends(only_known(*_PARAMETERS))],
        language: Annotated[Language, Depends(language_asked)],
        stay_id: str,
        target: Annotated[
            str, Query(pattern="^[a-z_]{1,50}$", description=TARGET_DESCRIPTION)
        ] = "readmission",
        prediction_point: Annotated[
            PointName | None,
            Query(description="default: of those at which the target is predicted, the last"),
        ] = None,
        bars: Annotated[
            int, Query(ge=1, le=MAX_BARS, description="reasons drawn one by one; the others are one bar")
        ] = DEFAULT_BARS,
        width: Annotated[int, Query(ge=LEAST_WIDTH, le=MOST_WIDTH, description="in pixels")] = DEFAULT_WIDTH,
    ) -> Response:
        """The latest stored prediction of a target as a waterfall, for a screen, in print, or read aloud."""
        point = None if prediction_point is None else Point(prediction_point)
        in_force = champions()
        with store_reached():
            refuse_unknown(target, in_force, store)
        found = read_latest(
            store, audit, caller, stay_id, action="read_explanation", point=point, target=target
        )
        answer = _with_scale(found.document, in_force)
        picture = waterfall(answer, target, language, n_bars=bars, width=width)
        headers = {**_HEADERS, "Content-Language": WORDS[language].tag}
        return Response(picture.encode("utf-8"), media_type=MEDIA_TYPE, headers=headers)

    return routes


def _with_scale(document: Mapping[str, Any], champions: ChampionSet) -> dict[str, Any]:
    artefacts = {loaded.model_id: loaded.model.artefact for loaded in champions.loaded}
    return {
        **document,
        "predictions": [
            one if "marks" in one or one["model"] not in artefacts else rescaled(one, artefacts[one["model"]])
            for one in document["predictions"]
        ],
    }
