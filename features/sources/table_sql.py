"""A mapping file as SQL: one query for every canonical table, over the view of the file's rows.

Whatever the mapping file says enters as a quoted literal or identifier; nothing of it is SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from features.sources.table_mapping import (
    AnyOf,
    Diagnoses,
    Fact,
    Procedures,
    Scalar,
    TableMapping,
    Value,
)
from features.sql import identifier, literal

ROWS = "file_rows"
"""The view of the file's rows, as `Reader.open` makes it."""
_CODE, _PLACE = identifier(" code"), identifier(" place")
"""No column of a text file begins with a blank."""
_WITH_COMMA = r"[+-]?([0-9]{1,3}(\.[0-9]{3})+|[0-9]+)(,[0-9]+)+"
_DEFAULTS = {
    "patients": {"sex": "unknown"},
    "stays": {"hospital_id": "unknown", "status": "discharged", "admission_type": "unknown"},
}
"""What stands in a required column that is not mapped."""


def queries(mapping: TableMapping) -> dict[str, list[str]]:
    """Table → the queries whose rows it holds, in order. A table that the mapping does not name is absent."""
    found = {"patients": [_patients(mapping)], "stays": [_stays(mapping)]}
    if mapping.diagnoses:
        found["diagnoses"] = list(_codes(mapping, "diagnoses"))
    if mapping.procedures:
        found["procedures"] = list(_codes(mapping, "procedures"))
    if mapping.charges:
        found["charges"] = list(_charges(mapping))
    if mapping.all_facts:
        found["facts"] = [_fact(mapping, fact) for fact in mapping.all_facts]
    if mapping.outcomes:
        found["outcomes"] = [_by_row(mapping, mapping.outcomes)]
    return found


def value_sql(value: Value) -> str:
    """SQL of a value as text, null where it is empty."""
    if value.any_of:
        return _any_of(value.any_of)
    if value.row_number:
        # No number: an id must not tell the order of the rows, which may be that of the outcome.
        return "substr(sha256('row ' || _row), 1, 16)"
    if value.column is None:
        return _scalar(value.value)
    column = _column(value.column)
    readable = readable_sql(value)
    rest = _scalar(value.otherwise) if value.otherwise is not None else column
    rest = f"coalesce({readable}, {rest})" if readable else rest
    if value.map or value.missing is not None or readable or value.otherwise is not None:
        cases = [f"WHEN {column} IS NULL THEN {_scalar(value.missing)}"]
        cases += [f"WHEN {column} = {literal(key)} THEN {_scalar(to)}" for key, to in value.map.items()]
        rest = f"CASE {' '.join(cases)} ELSE {rest} END"
    return f"substr(sha256({rest}), 1, 16)" if value.hash else rest


def readable_sql(value: Value) -> str:
    """SQL of the column's text as a date or a number, null where it is none; "" if it is to be neither."""
    if value.column is None:
        return ""
    column = _column(value.column)
    if value.formats:
        tries = ", ".join(f"try_strptime({column}, {literal(form)})" for form in value.formats)
        has_time = any(sign in form for form in value.formats for sign in ("%H", "%I", "%c", "%X", "%T"))
        iso = "%Y-%m-%d %H:%M:%S" if has_time else "%Y-%m-%d"
        return f"strftime(coalesce({tries}), {literal(iso)})"
    if value.is_number:
        return _number(value, column)
    return ""


def unreadable_numbers_sql(fact: Fact) -> str:
    """SQL of how many rows hold a fact that is not the number it should be, and the first of them."""
    text = value_sql(fact)
    return (
        f"SELECT count(*), min(_row) FROM {ROWS} "
        f"WHERE {text} IS NOT NULL AND NOT coalesce(isfinite(try_cast({text} AS DOUBLE)), false)"
    )


def numbers_sql(facts: Sequence[Fact]) -> str:
    """SQL of three counts for each fact, in one row: values, those that read as numbers, those with commas.

    The last are those that would be numbers with a comma between decimals or thousands.
    """
    texts = [value_sql(fact) for fact in facts]
    comma = literal(_WITH_COMMA)
    counts = [
        f"count({text}), count(try_cast({text} AS DOUBLE)), "
        f"count(*) FILTER (regexp_full_match({text}, {comma}))"
        for text in texts
    ]
    return f"SELECT {', '.join(counts)} FROM {ROWS}"


def contradictions_sql(mapping: TableMapping, name: str) -> str:
    """SQL of how many patients have different values of a column of `patients` in different rows."""
    patient, value = value_sql(mapping.patients["patient_id"]), value_sql(mapping.patients[name])
    return (
        f"SELECT count(*) FROM (SELECT 1 FROM {ROWS} WHERE {patient} IS NOT NULL "
        f"GROUP BY {patient} HAVING count(DISTINCT {value}) > 1)"
    )


def _number(value: Value, column: str) -> str:
    mark = value.decimal or "."
    # A separator of thousands stands between groups of three: elsewhere it is another country's decimal mark.
    whole = "[0-9]+"
    if value.thousands:
        whole = f"([0-9]{{1,3}}({_escaped(value.thousands)}[0-9]{{3}})+|[0-9]+)"
    form = f"[+-]?({whole}({_escaped(mark)}[0-9]*)?|{_escaped(mark)}[0-9]+)([eE][+-]?[0-9]+)?"
    plain = f"replace({column}, {literal(value.thousands)}, '')" if value.thousands else column
    plain = f"replace({plain}, {literal(mark)}, '.')"
    if value.factor is not None:
        plain = f"try_cast({plain} AS DOUBLE) * {value.factor!r}::DOUBLE"
    if value.floor:
        plain = f"try_cast(floor(try_cast({plain} AS DOUBLE)) AS BIGINT)"
    return f"CASE WHEN regexp_full_match({column}, {literal(form)}) THEN CAST({plain} AS VARCHAR) END"


def _escaped(mark: str) -> str:
    return f"[{mark}]"


def _any_of(any_of: AnyOf) -> str:
    hits = [_is_hit(any_of, column) for column in any_of.columns]
    return f"CASE WHEN {' OR '.join(hits)} THEN 'true' WHEN NOT ({' OR '.join(hits)}) THEN 'false' END"


def _is_hit(any_of: AnyOf, name: str) -> str:
    """True, false, or null where the column does not tell."""
    column = _column(name)
    wanted = any_of.values or any_of.not_values
    numbers = ", ".join(f"{float(each)!r}::DOUBLE" for each in wanted if not isinstance(each, str))
    texts = ", ".join(literal(each) for each in wanted if isinstance(each, str))
    found = [f"try_cast({column} AS DOUBLE) IN ({numbers})"] if numbers else []
    found += [f"{column} IN ({texts})"] if texts else []
    hit = f"({' OR '.join(found)})"
    if any_of.not_values:
        hit = f"(NOT {hit})"
    return f"CASE WHEN {column} IS NULL THEN false ELSE {hit} END" if any_of.missing == "no" else hit


def _patients(mapping: TableMapping) -> str:
    """One row a patient, in the order of their first rows; what rows contradict is unknown."""
    patient = value_sql(mapping.patients["patient_id"])
    columns = []
    for name, value in mapping.patients.items():
        if name != "patient_id":
            contradicted = "'unknown'" if name == "sex" else "NULL"
            text = value_sql(value)
            columns.append(
                f"CASE WHEN count(DISTINCT {text}) > 1 THEN {contradicted} ELSE min({text}) END "
                f"AS {identifier(name)}"
            )
    columns += _defaults("patients", mapping.patients)
    return (
        f"SELECT {', '.join([f'{patient} AS patient_id', *columns])} FROM {ROWS} "
        f"WHERE {patient} IS NOT NULL GROUP BY {patient} ORDER BY min(_row)"
    )


def _stays(mapping: TableMapping) -> str:
    columns = [f"{value_sql(mapping.patients['patient_id'])} AS patient_id"]
    columns += [f"{value_sql(value)} AS {identifier(name)}" for name, value in mapping.stays.items()]
    return f"SELECT {', '.join([*columns, *_defaults('stays', mapping.stays)])} FROM {ROWS}"


def _defaults(table: str, given: dict[str, Value]) -> list[str]:
    return [
        f"{literal(value)} AS {identifier(name)}"
        for name, value in _DEFAULTS[table].items()
        if name not in given
    ]


def _codes(mapping: TableMapping, section: Literal["diagnoses", "procedures"]) -> Iterator[str]:
    entries: Sequence[Diagnoses | Procedures] = getattr(mapping, section)
    for coded, position in zip(entries, mapping.positions(section), strict=True):
        if not coded.columns:
            yield _no_codes(section)
        for place, column in enumerate(coded.columns):
            yield _code(mapping, coded, column, place, position + place)


def _no_codes(section: Literal["diagnoses", "procedures"]) -> str:
    # With a column for its code system: where there is no code, none needs to be declared.
    columns = ["stay_id", "position", "code", "code_system", *(["kind"] if section == "diagnoses" else [])]
    return f"SELECT {', '.join(f'NULL::VARCHAR AS {name}' for name in columns)} WHERE false"


def _code(
    mapping: TableMapping, coded: Diagnoses | Procedures, column: str, place: int, position: int
) -> str:
    stay = value_sql(mapping.stays["stay_id"])
    constants: dict[str, str] = {}
    beside: dict[str, tuple[Value, ...]] = {}
    if isinstance(coded, Diagnoses):
        constants["kind"] = coded.kind
        beside["present_on_admission"] = coded.present_on_admission
    else:
        beside["performed_at"] = coded.performed_at
        beside["is_planned"] = (coded.is_planned,) if coded.is_planned else ()
    beside["known_at"] = (coded.known_at,) if coded.known_at else ()
    if coded.code_system:
        constants["code_system"] = coded.code_system
    extra = [f"{literal(value)} AS {name}" for name, value in constants.items()]
    others = [
        f"{value_sql(values[place] if len(values) > 1 else values[0])} AS {name}"
        for name, values in beside.items()
        if values
    ]
    if coded.split is None:
        columns = ", ".join([f"{stay} AS stay_id", *extra, *others])
        code = _column(column)
        return (
            f"SELECT {columns}, {position} AS position, {code} AS code FROM {ROWS} WHERE {code} IS NOT NULL"
        )
    parts = f"string_split({_column(column)}, {literal(coded.split)})"
    rows = (
        f"SELECT *, trim(unnest({parts})) AS {_CODE}, generate_subscripts({parts}, 1) AS {_PLACE} FROM {ROWS}"
    )
    beside_code = {
        name
        for values in (beside.get("present_on_admission", ()), beside.get("performed_at", ()))
        for value in values
        for name in value.columns
    }
    if beside_code:
        own = ", ".join(
            f"nullif(trim(string_split({_column(name)}, {literal(coded.split)})[{_PLACE}]), '') "
            f"AS {_column(name)}"
            for name in sorted(beside_code)
        )
        rows = f"SELECT * REPLACE ({own}) FROM ({rows})"
    columns = ", ".join([f"{stay} AS stay_id", *extra, *others])
    return (
        f"SELECT {columns}, {_PLACE} + {position - 1} AS position, {_CODE} AS code FROM ({rows}) "
        f"WHERE {_CODE} <> ''"
    )


def _charges(mapping: TableMapping) -> Iterator[str]:
    if mapping.charges is None:
        return
    stay, day = value_sql(mapping.stays["stay_id"]), value_sql(mapping.charges.incurred_on)
    for category, amount in mapping.charges.amounts.items():
        text = value_sql(amount)
        yield (
            f"SELECT {stay} AS stay_id, {day} AS incurred_on, {literal(category)} AS category, "
            f"{text} AS amount FROM {ROWS} WHERE {text} IS NOT NULL"
        )


def _fact(mapping: TableMapping, fact: Fact) -> str:
    text = value_sql(fact)
    if fact.type == "category":
        # A column of nothing but numbers would be read as a quantity.
        text = f"CASE WHEN try_cast({text} AS DOUBLE) IS NULL THEN {text} ELSE 'code ' || {text} END"
    unit = literal(fact.unit) if fact.unit else "NULL::VARCHAR"
    return (
        f"SELECT {value_sql(mapping.stays['stay_id'])} AS stay_id, {literal(fact.name)} AS name, "
        f"{text} AS value, {unit} AS unit, {literal(fact.available_from)} AS available_from "
        f"FROM {ROWS} WHERE {text} IS NOT NULL"
    )


def _by_row(mapping: TableMapping, values: dict[str, Value]) -> str:
    columns = [f"{value_sql(mapping.stays['stay_id'])} AS stay_id"]
    columns += [f"{value_sql(value)} AS {identifier(name)}" for name, value in values.items()]
    return f"SELECT {', '.join(columns)} FROM {ROWS}"


def _column(name: str) -> str:
    return identifier(name.lower())


def _scalar(value: Scalar | None) -> str:
    """A constant as text; "" and nothing are empty."""
    if value is None or value == "":
        return "NULL::VARCHAR"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return literal(text)
