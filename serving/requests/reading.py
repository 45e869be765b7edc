"""From the bytes of a body to a checked request, and on to the records that the feature code takes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import NoReturn
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from features.dataset import CodeSystems
from features.quality.staged import CODED_TABLES
from features.records import AdmissionRecords
from features.tables import Column, Table
from serving.problems import INVALID, MALFORMED, RECORDS_REQUIRED, FieldError, Problem, field_errors, invalid
from serving.requests.consistency import record_errors, status_errors, time_errors
from serving.requests.schema import REQUEST_TABLES, PredictionRequest, known_fields

_CENT = Decimal("0.01")


def parse_json(body: bytes) -> object:
    """The content of a strict JSON text: UTF-8, no NaN or Infinity, no key twice in one object.

    Raises Problem (400) that says where, without quoting the text.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise Problem(MALFORMED, f"Byte {error.start} is not UTF-8. Send the body as UTF-8.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problem(MALFORMED, f"The body is not JSON at {place}. Correct it there.") from None
    except RecursionError:
        raise Problem(MALFORMED, "The body is nested too deeply. See /openapi.json for its form.") from None
    except ValueError:
        raise Problem(MALFORMED, "A number has too many digits. Send numbers of usual length.") from None


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        n_repeated = len(pairs) - len(content)
        raise Problem(MALFORMED, f"{n_repeated} keys stand twice in one object. Send every key once.")
    return content


def _refuse(_constant: str) -> NoReturn:
    raise Problem(MALFORMED, "NaN and Infinity are not JSON. Send null, or leave the value out.")


def read_request(content: object, *, max_rows: int) -> PredictionRequest:
    """The request, every field of the declared type. Raises Problem (422) naming every one that is not."""
    if not isinstance(content, dict):
        raise Problem(INVALID, "The request must be a JSON object; see /openapi.json for its form.")
    if "records" not in content and "stay_id" in content:
        raise Problem(
            RECORDS_REQUIRED,
            "This server holds no history. Send the admission's records with the request.",
            [FieldError("records", "is required")],
        )
    _check_size(content.get("records"), max_rows)
    try:
        return PredictionRequest.model_validate(content)
    except ValidationError as error:
        raise invalid(field_errors(error, known_fields)) from None


def _check_size(records: object, max_rows: int) -> None:
    if not isinstance(records, dict):
        return
    n_rows = sum(len(rows) for rows in records.values() if isinstance(rows, list))
    if n_rows > max_rows:
        message = f"has {n_rows} rows; at most {max_rows}. Send a shorter history and set history_from"
        raise invalid([FieldError("records", message)])


def read_items(content: object, *, max_batch: int) -> Sequence[object]:
    """The items of a batch, unchecked. Raises Problem (422) if it is no batch or has too many."""
    if not isinstance(content, dict) or not isinstance(content.get("items"), list):
        raise invalid([FieldError("items", "is required and must be a list of requests")])
    if len(content) > 1:
        raise invalid([FieldError("", f"has {len(content) - 1} unknown fields; only items is known")])
    items: list[object] = content["items"]
    if len(items) > max_batch:
        raise invalid([FieldError("items", f"has {len(items)} entries; at most {max_batch}")])
    return items


def to_admission(
    request: PredictionRequest, time_zone: str, systems: CodeSystems, *, is_dated: bool = True
) -> AdmissionRecords:
    """The request as the feature code takes it: local wall time of the data set, codes as stored.

    `systems` are those of codes that are sent without one. `is_dated` says that the stay needs its times:
    models that learned from records without dates do not.
    Raises Problem (422) if the rows do not fit together.
    """
    zone = ZoneInfo(time_zone)
    tables: dict[str, list[dict[str, object]]] = {
        name: [_stored_row(REQUEST_TABLES[name], row, zone) for row in rows]
        for name, rows in request.records.model_dump().items()
        if rows is not None
    }
    asked_at = None if request.prediction_time is None else _local(request.prediction_time, zone)
    errors = record_errors(request.stay_id, tables, systems, is_dated=is_dated)
    if is_dated:
        errors += time_errors(request.stay_id, request.point, asked_at, tables["stays"])
    # A status that follows from missing times is told by the times.
    errors = errors or [*status_errors(request.stay_id, request.point, tables["stays"])]
    if errors:
        raise invalid(errors)
    return AdmissionRecords(
        stay_id=request.stay_id,
        point=request.point,
        tables=tables,
        prediction_time=asked_at,
        history_from=request.history_from,
    )


def _stored_row(table: Table, row: dict[str, object], zone: ZoneInfo) -> dict[str, object]:
    stored = {name: _stored(table.by_name[name], value, zone) for name, value in row.items()}
    if table.name == "stays" and stored["status"] is None:
        stored["status"] = _status(stored)
    if table.name in CODED_TABLES:
        stored["code"] = str(stored["code"]).replace(".", "").replace(" ", "").upper()
    return stored


def _stored(column: Column, value: object, zone: ZoneInfo) -> object:
    if isinstance(value, dt.datetime):
        return _local(value, zone)
    if column.type == "money" and isinstance(value, float):
        return Decimal(repr(value)).quantize(_CENT, ROUND_HALF_UP)
    return value


def _local(instant: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    return instant if instant.tzinfo is None else instant.astimezone(zone).replace(tzinfo=None)


def _status(stay: dict[str, object]) -> str:
    if stay["discharged_at"] is not None:
        return "discharged"
    return "booked" if stay["admitted_at"] is None else "in"
