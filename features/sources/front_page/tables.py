"""Front pages as canonical tables: SQL over the view `pages`, in which every field is text.

What cannot be mapped or read stays as it is, so that the common check finds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from features.sources.front_page.layouts import all_fields, charges, value_lists
from features.sources.reading import Reader, mapped
from features.sql import literal, parquet_rows

Outpatients = Literal["unknown", "elective"]

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
_TIMES = ("%H:%M:%S.%g", "%H:%M:%S", "%H:%M")
_MOMENTS = (
    *(f"{day}{between}{time}" for day in _DAYS for between in (" ", "T") for time in _TIMES),
    "%Y%m%d%H%M%S",
)

# What the value lists of facts become is in values_<year>.csv. (field, name, list, known from)
_FACTS = (
    ("marital_status", "marital_status", "RC002", "admission"),
    ("occupation", "occupation", "RC003", "admission"),
    ("day_surgery", "day_surgery", "RC039", "discharge"),
    ("procedure_level", "main_procedure_level", "RC029", "discharge"),
    ("asa_class", "asa_class", "RC024", "discharge"),
    ("ventilator_hours", "ventilator_hours", "", "discharge"),
)
_LISTS = {
    "payer": "RC032",
    **{field: values for field, _, values, _ in _FACTS if values},
}
"""Fields without a rule in the check for what they may hold → their value list."""

_REPEATED = "{n} rows repeat another row in everything that is read; each is read once."
_PERSONAL = {
    "sex": "patients: {n} have stays that disagree about the sex; it is taken as unknown.",
    "birth_date": "patients: {n} have stays that disagree about the birth date; it is left out, and the age "
    "that each stay gives is used.",
}
_WORTH_A_NOTE = {
    "stays: {n} give other days in hospital (B20) than their times of admission and discharge do; the times "
    "are used.": "greatest(date_diff('day', admitted, discharged), 1) <> TRY_CAST(stay_days AS INTEGER)",
    "stays: {n} came neither through the emergency department nor say how urgent they were; their admission "
    "type is unknown, or what the option outpatients says.": "coalesce(admission_route, '') <> '1' "
    "AND condition_at_admission IS NULL",
    "charges: {n} stays have more antimicrobials (D23x01) than drugs (D23), of which they are a part.": (
        "TRY_CAST(d23x01 AS DECIMAL(18,2)) > TRY_CAST(d23 AS DECIMAL(18,2))"
    ),
    "facts: {n} ventilator hours are no number; they are left out.": (
        "ventilator_hours IS NOT NULL AND TRY_CAST(ventilator_hours AS DOUBLE) IS NULL"
    ),
    **{
        f"stays: {{n}} have a value of {field.replace('_', ' ')} that is not in the list {values}; it stays "
        "as it is.": f"{field} NOT IN ({', '.join(literal(code) for code in value_lists()[values])})"
        for field, values in _LISTS.items()
    },
}
"""A sentence with the number of records → SQL that tells them."""


def write_tables(source: Reader, held: frozenset[str], *, outpatients: Outpatients) -> None:
    """Stage every table that the extract holds; `held` are the fields that some file has."""
    _records(source)
    source.write("patients", _patients_sql())
    patients = parquet_rows(source.staging / "patients", "*.parquet")
    source.data.execute(f"CREATE VIEW patients AS FROM {patients}")
    source.write("stays", _stays_sql(outpatients))
    source.write("diagnoses", _diagnoses_sql())
    if "procedure_1" in held:
        source.write("procedures", _procedures_sql())
    items = [charge for charge in charges() if charge.field in held]
    if items:
        source.write("charges", _charges_sql([(item.field, item.category) for item in items]))
    facts = [fact for fact in _FACTS if fact[0] in held]
    if facts:
        source.write("facts", _facts_sql(facts))


def notes(source: Reader, n_rows: int) -> list[str]:
    """What the reader of a quality report should know of what the records say."""
    counted = source.data.execute(f"""
        SELECT {", ".join(f"count(*) FILTER ({condition})" for condition in _WORTH_A_NOTE.values())},
            {n_rows} - count(*)
        FROM records""").fetchall()[0]
    patients = (_count(source, f"SELECT count(*) FROM (SELECT 1 {_disagree(field)})") for field in _PERSONAL)
    told = (*_WORTH_A_NOTE, _REPEATED, *_PERSONAL.values())
    return [note.format(n=n) for note, n in zip(told, (*counted, *patients), strict=True) if n]


def _records(source: Reader) -> None:
    """The view `records`: one row per page, with its identifiers and times; a repeated row once.

    Rows of one stay that differ in anything stay apart: the check refuses them.
    """
    source.data.execute(f"""
        CREATE VIEW numbered AS SELECT *,
            hospital || ':' || record_number || ':' || stay_number AS stay_id,
            -- A child may be in the file with its mother's document. Some hospitals give 0 days for adults.
            CASE WHEN coalesce(TRY_CAST(age_years AS INTEGER), if(age_days IS NULL, 1, 0)) > 0
                 THEN coalesce(upper(person), hospital || ':' || record_number)
                 ELSE hospital || ':' || record_number END AS patient_id,
            {_parsed("admitted_at")} AS admitted,
            {_parsed("discharged_at")} AS discharged
        FROM pages""")
    source.data.execute("""
        CREATE TABLE repeated AS SELECT stay_id FROM numbered WHERE stay_id IS NOT NULL
        GROUP BY stay_id HAVING count(*) > 1""")
    if not _count(source, "SELECT count(*) FROM repeated"):
        source.data.execute("CREATE VIEW records AS FROM numbered")
        return
    # One text per row: the rows of a file that is there twice are many, and 200 columns of each are too much.
    content = ", ".join(f"coalesce({field}, '')" for field in (*all_fields(), "person"))
    source.data.execute(f"""
        CREATE TABLE surplus AS
        SELECT place FROM (SELECT place, sha256(concat_ws(chr(31), {content})) AS content
                           FROM numbered WHERE stay_id IN (FROM repeated))
        QUALIFY row_number() OVER (PARTITION BY content ORDER BY place) > 1""")
    source.data.execute("CREATE VIEW records AS FROM numbered WHERE place NOT IN (SELECT place FROM surplus)")


def _patients_sql() -> str:
    sex = mapped("sex", value_lists()["RC001"])
    return f"""
        SELECT patient_id,
            CASE WHEN count(DISTINCT birth_date) = 1 THEN min(birth_date) END AS birth_date,
            CASE WHEN count(DISTINCT sex) = 1 THEN min(sex) ELSE 'unknown' END AS sex
        FROM (SELECT patient_id, place, {_day("birth_date")} AS birth_date,
                nullif({sex}, 'unknown') AS sex FROM records)
        GROUP BY patient_id ORDER BY min(place)"""


def _disagree(field: str) -> str:
    """The patients of whom a field has several values."""
    values = {"sex": f"nullif({mapped('sex', value_lists()['RC001'])}, 'unknown')"}
    value = values.get(field, _day(field))
    return f"FROM records GROUP BY patient_id HAVING count(DISTINCT {value}) > 1"


def _stays_sql(outpatients: Outpatients) -> str:
    lists = value_lists()
    planned = " ".join(
        f"WHEN {literal(code)} THEN {literal(value)}" for code, value in lists["RC028"].items()
    )
    return f"""
        SELECT r.stay_id, r.patient_id, r.hospital AS hospital_id, 'discharged' AS status,
            {_moment("admitted_at")} AS admitted_at,
            {_moment("discharged_at")} AS discharged_at,
            {_admission_type(outpatients)} AS admission_type,
            nullif({mapped("admission_route", lists["RC026"])}, 'emergency') AS admission_source,
            admission_department, discharge_department,
            {mapped("payer", lists["RC032"])} AS payer,
            {mapped("disposition", lists["RC019"])} AS discharge_disposition,
            -- A code beyond the list must not pass for one of the words that mean yes or no.
            CASE planned_return {planned} ELSE 'not in the list: ' || planned_return END
                AS planned_return_31d,
            total_cost, patient_paid,
            CASE WHEN p.birth_date IS NULL
                 THEN coalesce(age_years, if(TRY_CAST(age_days AS INTEGER) > 0, '0', NULL)) END AS age_years
        FROM records r LEFT JOIN patients p ON p.patient_id = r.patient_id ORDER BY place"""


def _admission_type(outpatients: Outpatients) -> str:
    """The route tells an emergency; of the others the condition at admission tells the urgency."""
    lists = value_lists()
    others = ", ".join(literal(code) for code in lists["RC026"] if code != "1")
    return f"""CASE WHEN admission_route = '1' THEN 'emergency'
                WHEN admission_route NOT IN ({others}) THEN admission_route
                WHEN condition_at_admission IS NOT NULL
                    THEN {mapped("condition_at_admission", lists["RC004"])}
                WHEN admission_route = '2' THEN {literal(outpatients)}
                ELSE 'unknown' END"""


def _diagnoses_sql() -> str:
    fields = set(all_fields())
    entries = ["{kind: 'admitting', position: 1, code: admitting_diagnosis, poa: NULL::VARCHAR}"]
    entries += [
        f"{{kind: 'discharge', position: {n}, code: diagnosis_{n}, poa: present_on_admission_{n}}}"
        for n in _positions("diagnosis", fields)
    ]
    return f"""
        SELECT stay_id, e.kind, e.position, e.code,
            {mapped("e.poa", value_lists()["RC027"])} AS present_on_admission
        FROM (SELECT stay_id, unnest([{", ".join(entries)}]) AS e FROM records)
        WHERE e.code IS NOT NULL"""


def _procedures_sql() -> str:
    entries = [
        f"{{position: {n}, code: procedure_{n}, performed: procedure_at_{n}}}"
        for n in _positions("procedure", set(all_fields()))
    ]
    # Midnight stands for a time that was not recorded: the day alone, known at its end.
    day_alone = "regexp_replace(performed_at, ' 00:00:00$', '')"
    return f"""
        SELECT stay_id, position, code, {day_alone} AS performed_at
        FROM (SELECT stay_id, e.position AS position, e.code AS code, {_moment("e.performed")} AS performed_at
              FROM (SELECT stay_id, unnest([{", ".join(entries)}]) AS e FROM records)
              WHERE e.code IS NOT NULL)"""


def _charges_sql(items: Iterable[tuple[str, str]]) -> str:
    """One row per item that is not zero; surgery is without the anaesthesia that it contains."""
    parent, part = (f"TRY_CAST({field} AS DECIMAL(18,2))" for field in ("d20", "d20x01"))
    surgery = (
        "CASE WHEN d20 IS NULL THEN d20x02 WHEN d20x01 IS NULL THEN d20 "
        f"ELSE coalesce(CAST({parent} - {part} AS VARCHAR), d20) END"
    )
    entries = ", ".join(
        f"{{category: {literal(category)}, item: {literal(field)}, "
        f"amount: {surgery if field == 'd20' else field}}}"
        for field, category in items
    )
    return f"""
        SELECT stay_id, {_day("discharged_at")} AS incurred_on, e.category, e.amount,
            replace(upper(e.item), 'X', 'x') AS item_code
        FROM (SELECT stay_id, discharged_at, unnest([{entries}]) AS e FROM records)
        WHERE e.amount IS NOT NULL AND coalesce(TRY_CAST(e.amount AS DECIMAL(18,2)) <> 0, true)"""


def _facts_sql(facts: Iterable[tuple[str, str, str, str]]) -> str:
    entries = []
    for field, name, values, known_from in facts:
        number = f"CASE WHEN TRY_CAST({field} AS DOUBLE) IS NOT NULL THEN {field} END"
        value = mapped(field, value_lists()[values]) if values else number
        unit = "'h'" if name.endswith("_hours") else "NULL::VARCHAR"
        entries.append(
            f"{{name: {literal(name)}, value: {value}, unit: {unit}, known_from: {literal(known_from)}}}"
        )
    return f"""
        SELECT stay_id, e.name, e.value, e.unit, e.known_from AS available_from
        FROM (SELECT stay_id, unnest([{", ".join(entries)}]) AS e FROM records)
        WHERE e.value IS NOT NULL"""


def _positions(field: str, fields: Iterable[str]) -> list[int]:
    found = (name.removeprefix(f"{field}_") for name in fields if name.startswith(f"{field}_"))
    return sorted(int(position) for position in found if position.isdecimal())


def _texts(formats: Iterable[str]) -> str:
    return f"[{', '.join(literal(form) for form in formats)}]"


def _one_blank(field: str) -> str:
    return f"regexp_replace({field}, ' +', ' ', 'g')"


def _parsed(field: str) -> str:
    """SQL of the instant of a text, null where it cannot be read."""
    return f"try_strptime({_one_blank(field)}, {_texts((*_MOMENTS, *_DAYS))})"


def _moment(field: str) -> str:
    """SQL of a day, or a day with its time, as ISO text; a text that is neither stays as it is."""
    text = _one_blank(field)
    return (
        f"coalesce(strftime(try_strptime({text}, {_texts(_MOMENTS)}), '%Y-%m-%d %H:%M:%S'), "
        f"strftime(try_strptime({text}, {_texts(_DAYS)}), '%Y-%m-%d'), {field})"
    )


def _day(field: str) -> str:
    """SQL of the day of a text as ISO text; a text that cannot be read stays as it is."""
    return f"coalesce(strftime({_parsed(field)}, '%Y-%m-%d'), {field})"


def _count(source: Reader, sql: str) -> int:
    return int(source.data.execute(sql).fetchall()[0][0])
