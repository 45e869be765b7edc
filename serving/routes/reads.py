"""The one way to a stored prediction: whose it is, and that it was read, before anybody sees it."""

from __future__ import annotations

from features.points import Point
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.problems import NO_PREDICTION, Problem
from serving.routes.reached import store_reached
from serving.store.predictions import PredictionStore
from serving.store.stored import Stored

_NONE = (
    "Nothing is stored of it that the caller may see. POST /v1/predictions?store=true stores a prediction."
)

_OTHERS = "Other targets of the admission may be stored."


def read_latest(
    store: PredictionStore,
    audit: AuditLog,
    caller: Caller,
    stay_id: str,
    *,
    action: str,
    point: Point | None = None,
    target: str | None = None,
) -> Stored:
    """The latest stored prediction of a stay, at one point or at any, with its read in the audit log.

    With `target` it is the latest that holds that one, and only its model is recorded. Raises Problem: 404
    for a stay that is absent or another department's, alike; 503 if the store fails or the read cannot be
    recorded.
    """
    with store_reached():
        found = store.latest(stay_id, point, target=target, departments=caller.departments)
    if found is None:
        raise Problem(NO_PREDICTION, _NONE if target is None else f"{_NONE} {_OTHERS}")
    audit.record(caller, action, [found.stay_id], found.models_of(target))
    return found
