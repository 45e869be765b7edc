"""What the server says of itself: that it is up, whether it can predict, and by which models.

Annotations are not put off here: dependencies of a router are made with it.
"""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.champions.documents import EXAMPLE_MODELS, ModelsDocument
from serving.champions.loaded import ChampionSet, Loaded
from serving.http.description import example, problems
from serving.http.responses import json_response
from serving.operation.documents import (
    EXAMPLE_LIVE,
    EXAMPLE_READY,
    LivenessDocument,
    ReadinessDocument,
)
from serving.operation.readiness import Readiness
from serving.predictions.answers import Answers


def router(access: Access, answers: Answers, readiness: Readiness) -> APIRouter:
    """The routes `/health/live`, `/health/ready` and `/v1/models`."""
    routes = APIRouter()

    @routes.get(
        "/health/live", tags=["health"], response_model=LivenessDocument, responses=example(EXAMPLE_LIVE)
    )
    async def live() -> Response:
        """Whether the process is up; needs no thread, which requests that are computed may all hold."""
        return json_response({"status": "live"})

    @routes.get(
        "/health/ready",
        tags=["health"],
        response_model=ReadinessDocument,
        responses=problems(503) | example(EXAMPLE_READY),
    )
    def ready() -> Response:
        """Whether predictions can be answered: the checked champions, and those that were refused."""
        champions = readiness.champions()
        models = [loaded.model_id for loaded in champions.loaded]
        return json_response({"status": "ready", "models": models, "refused": _refused(champions)})

    @routes.get(
        "/v1/models",
        tags=["models"],
        response_model=ModelsDocument,
        responses=problems(401, 403, 503) | example(EXAMPLE_MODELS),
    )
    def models(_caller: Annotated[Caller, Depends(access.needs(Permission.READ_MODELS))]) -> Response:
        """The champions in force: what they predict, on what evidence."""
        champions = answers.present()
        documents = [_model_document(loaded) for loaded in champions.loaded]
        return json_response({"models": documents, "refused": _refused(champions)})

    return routes


def _refused(champions: ChampionSet) -> list[dict[str, str]]:
    return [{"model": name, "reason": reason} for name, reason in champions.refused]


def _model_document(loaded: Loaded) -> dict[str, Any]:
    champion, artefact = loaded.champion, loaded.model.artefact
    return {
        "model": loaded.model_id,
        "name": champion.name,
        "version": champion.version,
        "target": artefact.target,
        "prediction_point": artefact.point,
        "kind": artefact.kind,
        "unit": artefact.unit,
        "promoted_at": champion.promoted_at,
        "trained_on": artefact.training.document(),
        "metrics": artefact.metrics,
        "feature_fingerprint": artefact.fingerprint,
        "features": [spec.name for spec in artefact.features],
        "currency": artefact.context.currency,
        "time_zone": artefact.context.time_zone,
        "landmark_hours": artefact.landmark_hours,
        "calibration": None if artefact.calibration is None else asdict(artefact.calibration),
        "bands": {"medium_above": artefact.bands[0], "high_above": artefact.bands[1]},
        "intended_use": artefact.intended_use,
    }
