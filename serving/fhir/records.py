"""FHIR resources of one patient to a request of the API: the way of an export, for one admission."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from features.dataset import CodeSystems, Declaration
from features.points import Point
from features.sources.fhir.few import FewResources, PatientRows
from features.sources.fhir.stream import Found
from features.tables import TableError
from models.artefact import Context
from serving.problems import FieldError, invalid
from serving.requests.schema import REQUEST_TABLES


class FhirRecords:
    """Translates resources into the terms of the models that answer; may be used from many threads.

    `hospital` is the id of the hospital where an encounter names no serviceProvider.
    """

    def __init__(self, hospital: str | None = None) -> None:
        self._hospital = hospital
        self._by_context: dict[str, FewResources] = {}
        self._lock = threading.Lock()

    def rows(
        self,
        resources: Iterable[Found],
        context: Context,
        *,
        patient_id: str,
        answered: Iterable[str] = (),
        incomplete: Iterable[str] = (),
        has_every_encounter: bool = False,
    ) -> PatientRows:
        """The canonical rows of one patient, in local times, amounts and codes of `context`.

        Other patients' rows are left out and counted. Types of `answered` without a resource: there is none;
        of those of `incomplete` not all came, so that what they feed is unknown.
        With `has_every_encounter` a patient without visits among them had none; else that is not known.
        Raises Problem (422) for what is no resource, or two versions of one of which none is newer.
        """
        own = (
            found
            for found in resources
            if found.resource.get("resourceType") != "Patient" or found.resource.get("id") == patient_id
        )
        try:
            rows = self._translator(context).rows(own, frozenset(answered), frozenset(incomplete))
        except TableError as error:
            # Names types and places, never a value.
            raise invalid([FieldError("prefetch", str(error))]) from None
        if not has_every_encounter:
            return rows
        return replace(rows, tables={"visits": [], **rows.tables})

    def prepare(self, contexts: Iterable[Context]) -> None:
        """Have the translation into these terms planned now, for a second, not while somebody waits."""
        for context in contexts:
            self._translator(context)

    def _translator(self, context: Context) -> FewResources:
        key = repr(context)
        with self._lock:
            if key not in self._by_context:
                self._by_context[key] = FewResources(_declaration(context), self._hospital)
            return self._by_context[key]


def _declaration(context: Context) -> Declaration:
    """What the rows of a request mean. They are no extract: they have dates, but no first and last day."""
    terms = Declaration.model_validate(
        {
            "name": "request",
            "source": "fhir 4.0.1",
            "currency": context.currency,
            "cost_basis": context.cost_basis,
            "time_zone": context.time_zone,
            "timeline": "none",
            "complete_by": "admission",
            "deaths": "in_hospital",
            "code_systems": CodeSystems.model_validate(context.code_systems),
        }
    )
    # Checked as one without dates, which needs no days of observation.
    return terms.model_copy(update={"timeline": "real"})


def prediction_request(
    rows: PatientRows,
    stay_id: str,
    point: Point,
    prediction_time: dt.datetime | None,
    *,
    has_every_stay: bool = True,
) -> dict[str, Any]:
    """The rows as a request of the API. `prediction_time` is local; None: the point's own.

    Without `has_every_stay` the history is complete from this stay on: what was before it is unknown, not
    none.
    """
    request: dict[str, Any] = {
        "stay_id": stay_id,
        "prediction_point": point.value,
        "records": {
            name: [_as_json(row) for row in rows.tables[name]]
            for name in REQUEST_TABLES
            if name in rows.tables
        },
    }
    if prediction_time is not None:
        request["prediction_time"] = prediction_time.isoformat()
    if not has_every_stay:
        request["history_from"] = _began_on(rows, stay_id).isoformat()
    return request


def _began_on(rows: PatientRows, stay_id: str) -> dt.date:
    """The day of the admission; of a stay that is to come that of its booking."""
    stay = next(stay for stay in rows.tables["stays"] if stay["stay_id"] == stay_id)
    began_at = stay["admitted_at"] or stay["booked_at"]
    assert isinstance(began_at, dt.datetime)
    return began_at.date()


def _as_json(row: Mapping[str, object]) -> dict[str, object]:
    return {name: _json_value(value) for name, value in row.items() if value is not None}


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, dt.date) else value
