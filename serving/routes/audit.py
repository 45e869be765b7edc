"""The route of the audit log.

Annotations are not put off here: dependencies of a router are made with it.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.documents import EXAMPLE_AUDIT, AuditDocument
from serving.access.guard import Access
from serving.access.pages import Page
from serving.access.reads import Record, Sought
from serving.access.roles import Permission
from serving.http.description import example, problems
from serving.http.query import only_known
from serving.http.responses import json_response
from serving.problems import FORBIDDEN, Problem
from serving.requests.schema import Day

MAX_LIMIT = 500
_PARAMETERS = ("stay_id", "caller", "action", "since", "until", "limit", "before")
# A place in a file of any size that JSON can tell exactly.
_MAX_PLACE = 2**53 - 1


def router(access: Access, audit: AuditLog) -> APIRouter:
    """The route `/v1/audit`."""
    routes = APIRouter(tags=["audit"])

    @routes.get(
        "/v1/audit",
        response_model=AuditDocument,
        responses=problems(401, 403, 422, 503) | example(EXAMPLE_AUDIT),
    )
    def reads(
        auditor: Annotated[Caller, Depends(access.needs(Permission.READ_AUDIT))],
        _only_known: Annotated[None, Depends(only_known(*_PARAMETERS))],
        stay_id: Annotated[
            str | None, Query(min_length=1, max_length=200, description="reads of this stay")
        ] = None,
        caller: Annotated[
            str | None,
            Query(min_length=1, max_length=600, description="name or id of a key, or as answers name it"),
        ] = None,
        action: Annotated[str | None, Query(pattern="^[a-z_]{1,50}$")] = None,
        since: Annotated[Day | None, Query(description="first day, in UTC")] = None,
        until: Annotated[Day | None, Query(description="last day, in UTC")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        before: Annotated[
            int | None, Query(ge=1, le=_MAX_PLACE, description="`next` of the answer before")
        ] = None,
    ) -> Response:
        """Who read which predictions, the newest first. This read is recorded as the others are.

        An answer looks at 20,000 lines at the most, and may hold no read though there are older ones: go on
        with `before` until `next` is null.
        """
        if auditor.departments is not None:
            # Reads say of a stay that it is there, and the log knows nobody's department.
            raise Problem(FORBIDDEN, "Only callers of all departments read the audit log.")
        audit.record(auditor, "read_audit", [] if stay_id is None else [stay_id], [])
        page = audit.page(Sought(stay_id, caller, action, since, until), before=before, limit=limit)
        return json_response(_document(page))

    return routes


def _document(page: Page) -> dict[str, Any]:
    return {
        "reads": [_read(record) for record in page.reads],
        "checked": {"oldest": page.oldest, "newest": page.newest, "intact": page.is_intact},
        "next": page.next,
    }


def _read(record: Record) -> dict[str, Any]:
    told = {name: record[name] for name in ("sequence", "at", "caller", "action", "models")}
    return told | {"n_stays": len(record["stays"])}
