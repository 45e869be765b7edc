"""Whose patient an admission is: the department that decides who sees its prediction."""

from __future__ import annotations

from collections.abc import Mapping

from features.points import Point
from features.records import AdmissionRecords


def department_of(stay: Mapping[str, object], point: Point) -> str | None:
    """The department of the stay that is asked about, as the canonical row has it; None: not sent.

    At discharge the department that discharges, where it is known; otherwise that of admission.
    """
    names = ["admission_department"]
    if point is Point.DISCHARGE:
        names.insert(0, "discharge_department")
    return next((str(stay[name]) for name in names if stay.get(name)), None)


def department_of_records(records: AdmissionRecords) -> str | None:
    """The department of the stay that records are asked about; None: not sent."""
    stays = (row for row in records.tables.get("stays", ()) if row["stay_id"] == records.stay_id)
    return next((department_of(stay, records.point) for stay in stays), None)
