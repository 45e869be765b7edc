"""Requests: the canonical tables as JSON, with models made from the declarations of the tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from features.points import Point, PointName
from features.quality.rules import MAX_LENGTH, is_identifier
from features.tables import TABLES, Column, ColumnType, Table

YEARS = range(1850, 2201)
"""Years that a date or a time may have: others are mistakes, and some no calendar can reckon with."""


def _day(value: object) -> dt.date:
    if isinstance(value, str) and len(value) == len("2026-01-07"):
        with suppress(ValueError):
            day = dt.date.fromisoformat(value)
            if day.year in YEARS:
                return day
    raise PydanticCustomError("day", "not a date")


def _instant(value: object) -> dt.datetime:
    # A date alone does not say whether it lies before or after the prediction time.
    if isinstance(value, str) and len(value) > len("2026-01-07"):
        with suppress(ValueError):
            instant = dt.datetime.fromisoformat(value)
            if instant.year in YEARS:
                return instant
    raise PydanticCustomError("instant", "not a time")


# Spaces, as the tables are read without them around a text.
_SPACES = "\u0020\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _trimmed(value: object) -> object:
    return value.strip(_SPACES) if isinstance(value, str) else value


# Strict: a number in quotes or a date as seconds is a mistake in the interface, not a value to guess at.
# No control characters: to a stored identifier with a line break in it no address would lead.
_PLAIN = r"^[^\x00-\x1f\x7f]*$"
Text = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=MAX_LENGTH["identifier"], pattern=_PLAIN),
    BeforeValidator(_trimmed),
]
_LongText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=MAX_LENGTH["text"], pattern=_PLAIN),
    BeforeValidator(_trimmed),
]
Integer = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Day = Annotated[dt.date, PlainValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
LOCAL_TIME = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$"
"""Local wall time as it stands in requests and answers; JSON Schema's `date-time` demands an offset."""

Instant = Annotated[
    dt.datetime,
    PlainValidator(_instant),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date-time"}, {"pattern": LOCAL_TIME}]}),
]
AskedTime = Annotated[
    Instant | None,
    Field(description="default: the point's own; earlier is provisional; of a time still to come: as of now"),
]
LocalTime = Annotated[dt.datetime, WithJsonSchema({"type": "string", "pattern": LOCAL_TIME})]
# A decimal of 18 digits, two of them after the point, as the tables hold it.
Money = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]
_TYPES: dict[ColumnType, Any] = {
    "text": _LongText,
    "integer": Integer,
    "number": Number,
    "money": Money,
    "date": Day,
    "instant": Instant,
    "flag": StrictBool,
}

# Outcomes are what is predicted, identities are display only, payment groups belong to no patient.
REQUEST_TABLES: dict[str, Table] = {
    name: table
    for name, table in TABLES.items()
    if table.owner is not None and name not in ("outcomes", "identities")
}
# Online, a stay's status follows from its times, and a table left out is unknown.
_DERIVED_COLUMNS = {("stays", "status")}
_REQUIRED_TABLES = ("patients", "stays")


def _column_type(column: Column) -> Any:
    if column.allowed:
        return Literal[column.allowed]
    if is_identifier(column):
        return Text
    if column.minimum is not None or column.maximum is not None:
        return Annotated[_TYPES[column.type], Field(ge=column.minimum, le=column.maximum)]
    return _TYPES[column.type]


def _row_model(table: Table) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for column in table.columns:
        declared = _column_type(column)
        if column.required and (table.name, column.name) not in _DERIVED_COLUMNS:
            fields[column.name] = (declared, Field(description=column.meaning))
        else:
            fields[column.name] = (declared | None, Field(default=None, description=column.meaning))
    title = "".join(word.capitalize() for word in table.name.split("_"))
    return create_model(
        f"{title}Row", __config__=ConfigDict(extra="forbid", frozen=True), __doc__=table.meaning, **fields
    )


def _records_model() -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, table in REQUEST_TABLES.items():
        rows: Any = GenericAlias(list, (_row_model(table),))
        if name in _REQUIRED_TABLES:
            fields[name] = (rows, Field(description=table.meaning))
        else:
            meaning = f"{table.meaning}; left out: unknown, an empty list: none"
            fields[name] = (rows | None, Field(default=None, description=meaning))
    return create_model(
        "Records",
        __config__=ConfigDict(extra="forbid", frozen=True),
        __doc__="The canonical tables of exactly one patient",
        **fields,
    )


Records: Any = _records_model()


class PredictionRequest(BaseModel):
    """One admission with its history in canonical form."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stay_id: Text
    prediction_point: PointName
    prediction_time: AskedTime = None
    history_from: Annotated[Day | None, Field(description="since when the history is complete")] = None
    currency: Annotated[
        str | None, Field(pattern="^[A-Z]{3}$", description="must be the model's, where given")
    ] = None
    records: Records

    @property
    def point(self) -> Point:
        """The prediction point."""
        return Point(self.prediction_point)


class HeldRequest(BaseModel):
    """A request about a stay whose history the server holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stay_id: Text
    prediction_point: PointName
    prediction_time: AskedTime = None

    @property
    def point(self) -> Point:
        """The prediction point."""
        return Point(self.prediction_point)


class BatchRequest(BaseModel):
    """Up to `max_batch` requests; the answers keep their order and a bad item fails alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    items: list[PredictionRequest | HeldRequest]


def known_fields(place: Sequence[str]) -> list[str]:
    """The fields of the object at a place of a request.

    >>> known_fields(["records", "patients", "0"])
    ['patient_id', 'birth_date', 'sex', 'death_date']
    """
    if not place:
        return list(PredictionRequest.model_fields)
    return list(REQUEST_TABLES) if len(place) == 1 else list(REQUEST_TABLES[place[1]].by_name)
