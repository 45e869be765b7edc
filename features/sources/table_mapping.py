"""The mapping file of the source `table`: which column of a flat file is which canonical column, and how.

`docs/data-contract.md` explains every key. Nothing of the file itself is read here.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from features.dataset import DiagnosisSystem, ProcedureSystem, problem_words
from features.facts import NAME, RESERVED
from features.tables import CHARGE_CATEGORIES, OUTCOMES, PATIENTS, STAYS, Table, TableError

Scalar = str | int | float | bool
PointName = Literal["preadmission", "admission", "discharge"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class AnyOf(_Strict):
    """True where any of the columns holds one of `values` (or, with `not_values`, any other value).

    Unknown where none does and one of them is empty, unless `missing` says that empty means no.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    values: tuple[Scalar, ...] = ()
    not_values: tuple[Scalar, ...] = ()
    missing: Literal["unknown", "no"] = "unknown"

    @model_validator(mode="after")
    def _one_rule(self) -> AnyOf:
        if bool(self.values) == bool(self.not_values):
            raise ValueError("give either values or not_values")
        return self


class Value(_Strict):
    """One canonical value of a row: from a column, a constant, or the row's number.

    In this order: a value in `map` becomes what stands there; else one that can be read by `format` (a date)
    or as a number (`thousands`, `decimal`, `factor`, `floor`) is; else it is `otherwise`, or stays as it
    is where that is not given. What is empty is `missing`, or stays empty. A text "" is empty.
    """

    column: str | None = None
    value: Scalar | None = None
    row_number: bool = False
    any_of: AnyOf | None = None
    map: dict[str, Scalar] = {}
    otherwise: Annotated[Scalar | None, Field(alias="else")] = None
    missing: Scalar | None = None
    format: str | tuple[str, ...] = ()
    thousands: Literal[",", ".", " ", "'"] | None = None
    decimal: Literal[".", ","] | None = None
    factor: float | None = None
    floor: bool = False
    hash: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of a date, in the order in which they are tried."""
        return (self.format,) if isinstance(self.format, str) else self.format

    @property
    def is_number(self) -> bool:
        """Whether the text is read as a number and written anew."""
        return bool(self.thousands or self.decimal or self.factor is not None or self.floor)

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns that it is made of."""
        return self.any_of.columns if self.any_of else (self.column,) if self.column else ()

    @model_validator(mode="after")
    def _one_origin(self) -> Value:
        origins = [self.column is not None, self.value is not None, self.row_number, self.any_of is not None]
        if sum(origins) != 1:
            raise ValueError("give exactly one of column, value, row_number = true and any_of")
        if self.formats and self.is_number:
            raise ValueError("format is of a date, the keys of a number do not go with it")
        if self.thousands and self.thousands == (self.decimal or "."):
            raise ValueError("thousands and decimal are the same character")
        if self.otherwise is not None and not (self.map or self.formats or self.is_number):
            raise ValueError("else needs a map, a format or the form of a number to be the rest of")
        has_way = bool(self.map or self.formats or self.is_number or self.missing is not None or self.hash)
        if has_way and self.column is None:
            raise ValueError("map, format, missing, hash and the form of a number need a column")
        return self


def _column_alone(given: object) -> object:
    return {"column": given} if isinstance(given, str) else given


def _several(given: object) -> object:
    """`{ columns = [...], map = ... }` and `[...]` as one value a column."""
    if isinstance(given, Mapping) and "columns" in given:
        rest = {key: value for key, value in given.items() if key != "columns"}
        columns = given["columns"]
        return [{**rest, "column": name} for name in columns] if isinstance(columns, list) else given
    return [_column_alone(each) for each in given] if isinstance(given, list) else [_column_alone(given)]


OneValue = Annotated[Value, BeforeValidator(_column_alone)]
Values = Annotated[tuple[Value, ...], BeforeValidator(_several)]


class FileForm(_Strict):
    """How the file is written, and which one it is of a zip."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"
    empty: tuple[str, ...] = ("",)
    member: str | None = None

    @model_validator(mode="after")
    def _is_known(self) -> FileForm:
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ValueError(f"encoding: {self.encoding} is no known encoding") from None
        return self


class _Coded(_Strict):
    """Codes of a stay: one column a position, or one column that `split` takes apart.

    What stands beside each code (flags, times) is taken apart likewise. No column at all says that no stay
    had a code.
    """

    columns: tuple[str, ...]
    position: Annotated[int, Field(ge=1)] | None = None
    split: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_column_splits(self) -> _Coded:
        if not self.columns and self.model_fields_set != {"columns"}:
            raise ValueError("columns = [] says that there were no codes. Leave out what stands beside it")
        if self.split is not None and len(self.columns) != 1:
            raise ValueError("split takes one column apart; give the others entries of their own")
        return self


class Diagnoses(_Coded):
    """Columns of diagnosis codes; present-on-admission flags stand in as many columns, in the same order."""

    kind: Literal["admitting", "discharge"] = "discharge"
    code_system: DiagnosisSystem | None = None
    present_on_admission: Values = ()
    known_at: OneValue | None = None

    @model_validator(mode="after")
    def _are_parallel(self) -> Diagnoses:
        if self.present_on_admission and len(self.present_on_admission) not in (1, len(self.columns)):
            raise ValueError("present_on_admission: give one column for each column of codes, or one for all")
        return self


class Procedures(_Coded):
    """Columns of procedure codes; their times stand in as many columns, in the same order."""

    code_system: ProcedureSystem | None = None
    performed_at: Values = ()
    is_planned: OneValue | None = None
    known_at: OneValue | None = None

    @model_validator(mode="after")
    def _are_parallel(self) -> Procedures:
        if self.performed_at and len(self.performed_at) not in (1, len(self.columns)):
            raise ValueError("performed_at: give one column for each column of codes, or one for all")
        return self


class Fact(Value):
    """A feature that the file supplies ready-made, and from when on it is known.

    `type` number: every value must be one. `type` category: codes that look like numbers are none.
    """

    name: str
    available_from: PointName
    unit: str | None = None
    type: Literal["number", "category"] | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> Fact:
        if not NAME.fullmatch(self.name) or RESERVED.fullmatch(self.name):
            raise ValueError(
                f"{self.name} cannot be a fact's name: lower case letters, digits and underscores, a letter "
                "first, at most 63, not like an identifier, label_… or row_…"
            )
        return self


class Charges(_Strict):
    """Columns that hold the charges of a category, and the day that they count for."""

    incurred_on: OneValue
    amounts: Annotated[dict[str, OneValue], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_categories(self) -> Charges:
        _known_names(self.amounts, CHARGE_CATEGORIES, "charge category")
        return self


def _columns_of(table: Table, *, without: tuple[str, ...] = (), required: tuple[str, ...]) -> Any:
    names = tuple(column.name for column in table.columns if column.name not in without)

    def check(given: dict[str, Value]) -> dict[str, Value]:
        _known_names(given, names, f"column of {table.name}")
        lacking = [name for name in required if name not in given]
        if lacking:
            raise ValueError(f"{', '.join(lacking)} is required")
        return given

    return AfterValidator(check)


class TableMapping(_Strict):
    """A mapping file."""

    dataset: dict[str, Any] = {}
    file: FileForm = FileForm()
    patients: Annotated[dict[str, OneValue], _columns_of(PATIENTS, required=("patient_id",))]
    stays: Annotated[dict[str, OneValue], _columns_of(STAYS, without=("patient_id",), required=("stay_id",))]
    diagnoses: tuple[Diagnoses, ...] = ()
    procedures: tuple[Procedures, ...] = ()
    charges: Charges | None = None
    facts: tuple[Fact, ...] = ()
    facts_from: dict[PointName, tuple[str, ...]] = {}
    outcomes: Annotated[dict[str, OneValue], _columns_of(OUTCOMES, without=("stay_id",), required=())] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    """Reason → columns that must not be used, so that nobody maps them later on."""

    @property
    def all_facts(self) -> tuple[Fact, ...]:
        """The facts of both forms."""
        short = (
            Fact(name=fact_name(column), column=column, available_from=point)
            for point, columns in self.facts_from.items()
            for column in columns
        )
        return (*self.facts, *short)

    @property
    def facts_path(self) -> tuple[str, ...]:
        """Where each of `all_facts` stands in the mapping file."""
        own = (f"facts.{number}" for number in range(1, len(self.facts) + 1))
        short = (f"facts_from.{point}" for point, columns in self.facts_from.items() for _ in columns)
        return (*own, *short)

    def values(self) -> Iterator[tuple[str, Value]]:
        """Every value that the mapping file describes, with its place in it."""
        for section in ("patients", "stays", "outcomes"):
            yield from ((f"{section}.{name}", value) for name, value in getattr(self, section).items())
        for section in ("diagnoses", "procedures"):
            for number, coded in enumerate(getattr(self, section), start=1):
                yield from ((f"{section}.{number}.{name}", value) for name, value in _inner(coded))
        if self.charges:
            yield "charges.incurred_on", self.charges.incurred_on
            yield from ((f"charges.amounts.{name}", value) for name, value in self.charges.amounts.items())
        yield from zip(self.facts_path, self.all_facts, strict=True)

    def used(self) -> Iterator[tuple[str, str]]:
        """Each use of a column of the file: its place in the mapping file, and the column."""
        for section in ("diagnoses", "procedures"):
            for number, coded in enumerate(getattr(self, section), start=1):
                yield from ((f"{section}.{number}.columns", column) for column in coded.columns)
        for path, value in self.values():
            yield from ((path, column) for column in value.columns)

    def positions(self, section: Literal["diagnoses", "procedures"]) -> tuple[int, ...]:
        """The position of the first column of each entry: after the entries of the same kind before it."""
        following: dict[str, int | None] = {}
        found = []
        for number, coded in enumerate(getattr(self, section), start=1):
            kind = getattr(coded, "kind", "")
            first = coded.position or following.get(kind, 1)
            if first is None:
                raise ValueError(
                    f"{section}.{number}: give its position; how many the entry before it splits into is "
                    "not known"
                )
            found.append(first)
            following[kind] = None if coded.split else first + len(coded.columns)
        return tuple(found)

    @model_validator(mode="after")
    def _is_consistent(self) -> TableMapping:
        problems = []
        for section in ("diagnoses", "procedures"):
            try:
                self.positions(section)
            except ValueError as error:
                problems.append(str(error))
            entries = getattr(self, section)
            if len(entries) > 1 and not all(coded.columns for coded in entries):
                problems.append(
                    f"{section}: columns = [] says that there were no codes, but there are {len(entries)} "
                    "entries. Leave out one or the other"
                )
        for name, n in Counter(fact.name for fact in self.all_facts).items():
            if n > 1:
                problems.append(f"facts: {n} have the name {name}; give one of them another in [[facts]]")
        used = {column.lower(): path for path, column in self.used()}
        for reason, columns in self.left_out.items():
            problems += [
                f"left_out: {column} must not be used ({reason}), but {used[column.lower()]} uses it"
                for column in columns
                if column.lower() in used
            ]
        if problems:
            raise ValueError(".\n".join(problems))
        return self


def _inner(coded: Diagnoses | Procedures) -> Iterator[tuple[str, Value]]:
    for name in ("present_on_admission", "performed_at"):
        yield from ((name, value) for value in getattr(coded, name, ()))
    for name in ("is_planned", "known_at"):
        value = getattr(coded, name, None)
        if value is not None:
            yield name, value


def fact_name(column: str) -> str:
    """The name of a fact after its column: lower case, with underscores for all but letters and digits.

    >>> fact_name("APR DRG Code")
    'apr_drg_code'
    """
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")


def close_to(name: str, names: Iterable[str]) -> str:
    """The names that resemble it, as a question; empty where none does."""
    known = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), known, n=3)
    return f" Did you mean {' or '.join(known[each] for each in found)}?" if found else ""


def _known_names(given: Iterable[str], known: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in known:
            choice = close_to(name, known) or f" There are: {', '.join(known)}."
            raise ValueError(f"{name} is no {what}.{choice}")


def read_mapping(file: Path) -> TableMapping:
    """Read and validate a mapping file. Raises TableError with every problem and its place in the file."""
    if not file.is_file():
        raise TableError(
            f"{file}: no such mapping file. Name one with --mapping, or let `wardcast ingest table FILE "
            "--describe` propose one."
        )
    try:
        return parse_mapping(file.read_text("utf-8"), file.name)
    except UnicodeDecodeError as error:
        raise TableError(f"{file}: not text in UTF-8. Write it again in UTF-8.") from error


def parse_mapping(text: str, name: str) -> TableMapping:
    """The mapping of a file's text. Raises TableError, naming the file, with every problem."""
    try:
        return TableMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{name}: not readable as TOML ({error}). Correct the file.") from error
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [f"{name}: {_place(problem['loc'])}{_words(problem)}" for problem in problems]
        more = [f"… and {len(lines) - 20} more."] if len(lines) > 20 else []
        raise TableError("\n".join(("The mapping file cannot be used.", *lines[:20], *more))) from error


def _place(loc: tuple[int | str, ...]) -> str:
    parts = (str(part + 1) if isinstance(part, int) else part for part in loc)
    return "".join(f"{'.'.join(parts)}: " for _ in loc[:1])


def _words(problem: Mapping[str, Any]) -> str:
    message = problem_words(problem)
    if problem["type"] == "missing":
        message += ". Add it"
    return message if message.endswith((".", "?")) else f"{message}."
