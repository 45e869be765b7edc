"""`GET /metrics`. Annotations are not put off here: the dependency of the route is made with it."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.http.description import problems
from serving.operation.metrics import MEDIA_TYPE, Metrics

_EXAMPLE = {"text/plain": {"example": "wardcast_queue_length 0.0\n"}}


def router(access: Access, metrics: Metrics) -> APIRouter:
    """The route of the metrics, for callers that may read them."""
    routes = APIRouter(tags=["operation"])

    @routes.get(
        "/metrics",
        response_class=Response,
        responses=problems(401, 403, 503) | {200: {"description": "Prometheus text", "content": _EXAMPLE}},
    )
    def exposed(
        _caller: Annotated[Caller, Depends(access.needs(Permission.READ_METRICS))],
    ) -> Response:
        """The server's metrics in Prometheus' text format."""
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    return routes
