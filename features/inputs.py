"""The records of a few admissions as texts of JSON, as the prepared statements take them.

JSON keeps every value: decimals and times go as texts, numbers with as many digits as tell them apart.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from features.coding import CodedAs
from features.meanings import Meaning, plain_meanings
from features.records import AdmissionRecords, Row
from features.tables import TABLES, Table

_IDENTIFIERS = frozenset({"patient_id", "stay_id", "visit_id"})


def inputs_json(
    admissions: Sequence[AdmissionRecords],
    times: Sequence[dt.datetime | None],
    meanings: Mapping[str, Mapping[CodedAs, Meaning]],
) -> dict[str, str]:
    """Every input of the statements by name: requests, tables, and what the codes mean.

    Each request's rows get identifiers of their own, so that requests of one query cannot see one another.
    """

    def sent(table: str) -> Iterator[Row]:
        return (row for admission in admissions for row in admission.tables.get(table, ()))

    inputs = {name: _as_json(_rows(table, admissions)) for name, table in TABLES.items()}
    inputs["requests"] = _as_json(_requests(admissions, times))
    for table, name in (("diagnoses", "diagnosis_flags"), ("procedures", "procedure_flags")):
        inputs[name] = f"[{','.join(meaning.flags for meaning in meanings[table].values())}]"
    measured = {(str(row["code"]), str(row["unit"])) for row in sent("observations")}
    return inputs | plain_meanings({str(row["code"]) for row in sent("medications")}, measured)


def _rows(table: Table, admissions: Sequence[AdmissionRecords]) -> list[Row]:
    return [
        {
            name: f"{place}:{value}" if name in _IDENTIFIERS else value
            for name in table.by_name
            if (value := row.get(name)) is not None
        }
        for place, admission in enumerate(admissions)
        for row in admission.tables.get(table.name, ())
    ]


def _requests(admissions: Sequence[AdmissionRecords], times: Sequence[dt.datetime | None]) -> list[Row]:
    return [
        {
            "index_id": place,
            "stay_id": f"{place}:{admission.stay_id}",
            "prediction_time": time,
            "history_from": admission.history_from or dt.date.min,
            **{f"has_{name}": name in admission.tables for name in TABLES},
        }
        for place, (admission, time) in enumerate(zip(admissions, times, strict=True))
    ]


def _as_json(rows: Sequence[Row]) -> str:
    return json.dumps(rows, default=_text, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _text(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no value of a record")
