"""The route that reads a stored prediction as FHIR R4.

Annotations are not put off here: dependencies of a router are made with it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from features.points import Point, PointName
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.fhir.outcome import FHIR_JSON, OutcomeRoute, outcomes
from serving.fhir.risk_assessment import bundle
from serving.http.query import only_known
from serving.http.responses import json_response
from serving.predictions.documents import EXAMPLE_ANSWER
from serving.reasons.languages import WORDS, Language
from serving.routes.reads import read_latest
from serving.store.predictions import PredictionStore, Stored


def router(
    access: Access,
    audit: AuditLog,
    store: PredictionStore,
    mitigations: Mapping[tuple[str, str], str],
    own_language: Language = Language.EN,
) -> APIRouter:
    """The route `/v1/admissions/{stay_id}/RiskAssessment`; `mitigations` are as in `bundle`, told in
    `own_language`, that of whoever asks for no other."""
    routes = APIRouter(tags=["FHIR"], route_class=OutcomeRoute)
    Reader = Annotated[Caller, Depends(access.needs(Permission.READ_PREDICTIONS))]  # noqa: N806 - a type

    @routes.get(
        # A stay's identifier may hold a slash.
        "/v1/admissions/{stay_id:path}/RiskAssessment",
        response_class=Response,
        responses=outcomes(401, 403, 404, 422, 503) | _EXAMPLE,
    )
    def risk_assessment(
        caller: Reader,
        _only_known: Annotated[None, Depends(only_known("prediction_point", "language"))],
        stay_id: str,
        prediction_point: Annotated[
            PointName | None,
            Query(description="default: the point that was predicted last"),
        ] = None,
        language: Annotated[
            Language | None, Query(description="of the words; default: that of the CDS Hooks services")
        ] = None,
    ) -> Response:
        """The latest stored prediction as a Bundle: a RiskAssessment for each risk, an Observation for each
        amount. Another department's admission is 404."""
        point = None if prediction_point is None else Point(prediction_point)
        found = read_latest(store, audit, caller, stay_id, action="read_risk_assessment", point=point)
        told = language or own_language
        # What the services suggest is told in their language alone.
        lowering = mitigations if told is own_language else {}
        response = json_response(bundle(found, lowering, told), media_type=FHIR_JSON)
        response.headers["Content-Language"] = WORDS[told].tag
        return response

    return routes


_EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A Bundle of type collection",
        "content": {FHIR_JSON: {"schema": {"type": "object"}, "example": bundle(Stored(EXAMPLE_ANSWER), {})}},
    }
}
