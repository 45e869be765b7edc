"""The check: which rows it quarantines and why, and what it refuses altogether."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from features.quality.check import check
from features.tables import TableError
from tests.tables import table, write_folder

PATIENTS = """
    patient_id | birth_date | sex
    7          | 1950-03-01 | female
    8          | 1960-01-01 | male
"""
STAYS = """
    stay_id | patient_id | hospital_id | status | admitted_at | discharged_at | admission_type | total_cost
    1 | 7          | H | discharged | 2024-01-01 10:00 | 2024-01-05 11:00 | emergency | 1000
    2 | 7          | H | discharged | 2024-02-04 09:00 | 2024-02-06 12:00 | elective  | 500
    3 | 8          | H | discharged | 2024-03-20 08:00 | 2024-03-25 09:00 | urgent    | 800
"""
DIAGNOSES = """
    stay_id | kind      | position | code  | present_on_admission
    1       | discharge | 1        | I50.0 | Y
    2       | discharge | 1        | i10   | Y
    3       | discharge | 1        | E11.9 | N
"""
CLEAN = {
    "patients": PATIENTS,
    "stays": STAYS,
    "diagnoses": DIAGNOSES,
    "procedures": "stay_id | position | code",
}


def replaced(text: str, row: int, column: str, value: str) -> str:
    """The table's text with one value changed; `row` counts from 1."""
    frame = table(text)
    frame.loc[row - 1, column] = value
    lines = [" | ".join(frame.columns)]
    lines += [
        " | ".join("" if cell is None or cell != cell else cell for cell in row)
        for row in frame.itertuples(index=False)
    ]
    return "\n".join(lines)


def findings(
    folder: Path, tables: dict[str, str], **declaration: str
) -> dict[tuple[str, str], tuple[int, int]]:
    """(table, rule) → (rows affected, first row number)."""
    quality = check(write_folder(folder, CLEAN | tables, **declaration))
    return {(rule.table, rule.rule): (rule.n_rows, rule.first_row) for rule in quality.rules}


def test_a_clean_data_set_has_nothing_to_report(tmp_path: Path) -> None:
    quality = check(write_folder(tmp_path, CLEAN))
    assert quality.rules == ()
    assert quality.warnings == ()
    assert {name: (count.n_in, count.n_out) for name, count in quality.counts.items()} == {
        "patients": (2, 2),
        "stays": (3, 3),
        "diagnoses": (3, 3),
        "procedures": (0, 0),
    }


@pytest.mark.parametrize(
    ("name", "row", "column", "value", "rule"),
    [
        ("stays", 2, "discharged_at", "6 Feb 2024", "unreadable"),
        ("stays", 2, "total_cost", "1,000", "unreadable"),
        ("stays", 2, "hospital_id", "", "missing_value"),
        ("stays", 2, "admission_type", "walk-in", "not_allowed"),
        ("stays", 2, "total_cost", "-1", "negative"),
        ("stays", 2, "patient_id", "99", "unknown_patient"),
        ("diagnoses", 2, "position", "0", "negative"),
        ("diagnoses", 2, "position", "1.5", "unreadable"),
        ("diagnoses", 2, "stay_id", "99", "unknown_stay"),
        ("diagnoses", 2, "code", "428.0", "code_outside_system"),
        ("diagnoses", 2, "present_on_admission", "1", "not_allowed"),
    ],
)
def test_a_row_that_breaks_a_rule_is_reported_with_its_place(
    tmp_path: Path, name: str, row: int, column: str, value: str, rule: str
) -> None:
    found = findings(tmp_path, {name: replaced(CLEAN[name], row, column, value)})
    assert found[name, rule] == (1, row)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("admitted_at", "2024-02-07 00:00", "discharged_before_admitted"),  # discharged 2024-02-06
        ("discharged_at", "2025-01-01 00:00", "after_observation"),  # the day 2024-12-31 is still observed
        ("discharged_at", "", "status_contradicts"),
        ("admitted_at", "", "status_contradicts"),
    ],
)
def test_impossible_times_of_a_stay_take_its_diagnoses_along(
    tmp_path: Path, column: str, value: str, rule: str
) -> None:
    found = findings(tmp_path, {"stays": replaced(STAYS, 2, column, value)})
    # Stay 2 in row 2 of the stays, and its one diagnosis in row 2 of the diagnoses.
    assert found == {("stays", rule): (1, 2), ("diagnoses", "unknown_stay"): (1, 2)}


def test_the_last_moment_of_the_last_observed_day_is_observed(tmp_path: Path) -> None:
    stays = replaced(STAYS, 3, "discharged_at", "2024-12-31 23:59:59")
    assert findings(tmp_path, {"stays": stays}) == {}


def test_a_discharge_after_observed_until_is_also_a_warning(tmp_path: Path) -> None:
    quality = check(write_folder(tmp_path, CLEAN, observed_until="2024-03-24"))
    assert [rule.rule for rule in quality.rules] == ["after_observation", "unknown_stay"]
    assert len(quality.warnings) == 1
    assert "observed_until lies before the newest discharge; 1 of 3 rows" in quality.warnings[0]


def test_a_booked_stay_may_lie_ahead(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | hospital_id | status | admission_type | planned_admission_at | booked_at
        1       | 7          | H           | booked | elective       | 2025-02-01           | 2024-12-01
        2       | 7          | H           | booked | elective       |                      | 2024-12-01
        3       | 8          | H           | booked | elective       | 2025-02-01           |
    """
    assert findings(tmp_path, {"stays": stays}) == {}


def test_a_stay_needs_a_birth_date_or_an_age(tmp_path: Path) -> None:
    patients = replaced(PATIENTS, 2, "birth_date", "")
    found = findings(tmp_path / "unknown", {"patients": patients})
    assert found == {("stays", "age_unknown"): (1, 3), ("diagnoses", "unknown_stay"): (1, 3)}
    aged = STAYS.replace("| total_cost", "| age_years").replace("| 1000", "|").replace("| 500", "|")
    aged = aged.replace("| 800", "| 64")
    assert findings(tmp_path / "aged", {"patients": patients, "stays": aged}) == {}


def test_nobody_is_older_than_anybody_ever_was(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | hospital_id | status     | admission_type | age_years
        1       | 7          | H           | discharged | emergency      | 130
        2       | 7          | H           | discharged | elective       | 131
    """
    found = findings(tmp_path, {"stays": stays}, timeline='"none"', observed_from="", observed_until="")
    assert found["stays", "too_large"] == (1, 2)


def test_without_a_timeline_a_birth_date_gives_no_age(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | hospital_id | status     | admission_type | age_years
        1       | 7          | H           | discharged | emergency      | 73
        2       | 7          | H           | discharged | elective       |
        3       | 8          | H           | discharged | urgent         | 64
    """
    found = findings(tmp_path, {"stays": stays}, timeline='"none"', observed_from="", observed_until="")
    assert found == {("stays", "age_unknown"): (1, 2), ("diagnoses", "unknown_stay"): (1, 2)}


def test_nobody_is_admitted_before_birth_but_newborns_are_on_the_day(tmp_path: Path) -> None:
    on_the_day = replaced(PATIENTS, 2, "birth_date", "2024-03-20")  # patient 8 is admitted that day
    assert findings(tmp_path / "day", {"patients": on_the_day}) == {}
    after = replaced(PATIENTS, 2, "birth_date", "2024-03-21")
    assert findings(tmp_path / "after", {"patients": after})["stays", "born_after_admission"] == (1, 3)


def test_a_date_outside_the_time_of_any_record_is_impossible(tmp_path: Path) -> None:
    # Observed 2023 to 2024: records from 1900 to the end of 2034, births from 2023 - 130 = 1893 on.
    patients = """
        patient_id | birth_date | sex    | death_date
        7          | 1893-01-01 | female |
        8          | 1892-12-31 | male   |
        9          | 1960-01-01 | male   | 2034-12-31
        10         | 1960-01-01 | male   | 2035-01-01
    """
    stays = """
        stay_id | patient_id | hospital_id | status | admission_type | planned_admission_at | admitted_at
        1       | 9          | H           | booked | elective       | 2034-12-31 23:59:59  |
        2       | 9          | H           | booked | elective       | 9999-12-31           |
        3       | 9          | H           | in     | elective       |                      | 1900-01-01
        4       | 9          | H           | in     | elective       |                      | 1899-12-31 23:59
    """
    tables = {"patients": patients, "stays": stays, "diagnoses": "stay_id | kind | position | code"}
    quality = check(write_folder(tmp_path / "real", CLEAN | tables))
    assert [(rule.table, rule.rule, rule.columns, rule.n_rows) for rule in quality.rules] == [
        ("patients", "impossible_date", ("birth_date", "death_date"), 2),
        ("stays", "impossible_date", ("admitted_at", "planned_admission_at"), 2),
        # Stay 3 of 1900 lies before the birth of its patient in 1960.
        ("stays", "born_after_admission", (), 1),
    ]
    # Shifted dates may lie anywhere.
    shifted = check(write_folder(tmp_path / "shifted", CLEAN | tables, timeline='"shifted"'))
    assert "impossible_date" not in {rule.rule for rule in shifted.rules}


@pytest.mark.parametrize(
    ("birth", "death", "broken"),
    [
        ("1893-03-20", "", {}),  # 130 years old until 2024-03-19; the admission of 2024-03-20 makes 131
        ("1893-03-21", "2024-03-25", {}),
        ("1960-01-01", "2024-03-19", {}),  # one day before the admission: entered a day early
        (
            "1960-01-01",
            "2024-03-18",
            {("stays", "after_death"): (1, 3), ("diagnoses", "unknown_stay"): (1, 3)},
        ),
    ],
)
def test_a_stay_lies_within_the_life_of_its_patient(
    tmp_path: Path, birth: str, death: str, broken: dict[tuple[str, str], tuple[int, int]]
) -> None:
    patients = f"""
        patient_id | birth_date | sex    | death_date
        7          | 1950-03-01 | female |
        8          | {birth}    | male   | {death}
    """
    if birth == "1893-03-20":
        broken = {("stays", "too_old"): (1, 3), ("diagnoses", "unknown_stay"): (1, 3)}
    assert findings(tmp_path, {"patients": patients}) == broken


def test_nobody_dies_before_birth(tmp_path: Path) -> None:
    patients = """
        patient_id | birth_date | sex    | death_date
        7          | 1950-03-01 | female |
        8          | 1960-01-01 | male   | 1959-12-31
        9          | 1960-01-01 | male   | 1960-01-01
    """
    assert findings(tmp_path, {"patients": patients}) == {
        ("patients", "died_before_birth"): (1, 2),
        ("stays", "unknown_patient"): (1, 3),
        ("diagnoses", "unknown_stay"): (1, 3),
    }


def test_an_event_lies_within_the_life_of_its_patient_with_weeks_of_grace(tmp_path: Path) -> None:
    # Born 2024-01-01: 280 days before it are 2023-03-27. Died 2024-03-25: 30 days after it are 2024-04-24.
    patients = """
        patient_id | birth_date | sex    | death_date
        7          | 1950-03-01 | female |
        8          | 2024-01-01 | male   | 2024-03-25
    """
    visits = """
        visit_id | patient_id | visited_at       | kind
        1        | 8          | 2023-03-27       | outpatient
        2        | 8          | 2023-03-26 23:59 | outpatient
        3        | 8          | 2024-04-24 23:59 | telehealth
        4        | 8          | 2024-04-25       | telehealth
    """
    charges = """
        stay_id | incurred_on | category | amount
        3       | 2024-04-24  | drugs    | 10
        3       | 2024-04-25  | drugs    | 10
        3       | 2023-03-26  | drugs    | 10
    """
    procedures = """
        stay_id | position | code  | performed_at | is_planned
        3       | 1        | 36.06 | 2024-04-25   | true
        3       | 2        | 36.06 | 2024-04-25   | false
    """
    tables = {"patients": patients, "visits": visits, "charges": charges, "procedures": procedures}
    assert findings(tmp_path, tables) == {
        ("visits", "before_birth"): (1, 2),
        ("visits", "after_death"): (1, 4),
        ("charges", "after_death"): (1, 2),
        ("charges", "before_birth"): (1, 3),
        ("procedures", "after_death"): (1, 2),
    }


def test_a_medication_ends_after_it_started(tmp_path: Path) -> None:
    medications = """
        patient_id | started_at       | ended_at   | code
        7          | 2024-01-02 08:00 | 2024-01-02 | A10BA02
        7          | 2024-01-02 08:00 | 2024-01-01 | A10BA02
        7          | 2024-01-02 08:00 |            | A10BA02
    """
    found = findings(tmp_path, {"medications": medications})
    assert found == {("medications", "ended_before_started"): (1, 2)}


def test_an_identifier_is_short_and_of_one_line(tmp_path: Path) -> None:
    patients = pd.DataFrame(
        {
            "patient_id": ["7", "8", "x" * 200, "x" * 201, "a\nb", "a\x00b", "a\tb", "Ä 三"],
            "birth_date": "1950-03-01",
            "sex": "male",
        }
    )
    folder = write_folder(tmp_path, {name: CLEAN[name] for name in CLEAN if name != "patients"})
    patients.to_parquet(folder / "patients.parquet")
    found = {(rule.rule, rule.columns): rule.n_rows for rule in check(folder).rules}
    assert found == {("too_long", ("patient_id",)): 1, ("control_characters", ("patient_id",)): 3}


def test_antimicrobials_alone_beyond_the_total_are_set_aside(tmp_path: Path) -> None:
    charges = "stay_id | incurred_on | category | amount\n2 | 2024-02-05 | antimicrobials | 505.01"
    assert findings(tmp_path, {"charges": charges}) == {("charges", "beyond_total"): (1, 1)}


def test_a_quarantined_patient_takes_stays_and_their_rows_along(tmp_path: Path) -> None:
    patients = replaced(PATIENTS, 1, "sex", "F")
    charges = """
        stay_id | incurred_on | category | amount
        1       | 2024-01-02  | drugs    | 10
        3       | 2024-03-21  | drugs    | 10
    """
    # Patient 7 has stays 1 and 2, of which stay 1 has a charge.
    assert findings(tmp_path, {"patients": patients, "charges": charges}) == {
        ("patients", "not_allowed"): (1, 1),
        ("stays", "unknown_patient"): (2, 1),
        ("diagnoses", "unknown_stay"): (2, 1),
        ("charges", "unknown_stay"): (1, 1),
    }


def test_a_row_gets_the_first_reason_only(tmp_path: Path) -> None:
    stays = replaced(replaced(STAYS, 2, "total_cost", "-1"), 2, "admission_type", "walk-in")
    found = findings(tmp_path, {"stays": stays})
    assert found == {("stays", "not_allowed"): (1, 2), ("diagnoses", "unknown_stay"): (1, 2)}


def test_an_observation_names_a_stay_of_its_own_patient(tmp_path: Path) -> None:
    observations = """
        patient_id | stay_id | taken_at         | code  | value | unit
        7          | 1       | 2024-01-02 06:00 | 718-7 | 11.2  | g/dL
        7          |         | 2023-12-02 06:00 | 718-7 | 11.2  | g/dL
        8          | 1       | 2024-01-02 06:00 | 718-7 | 11.2  | g/dL
        9          |         | 2024-01-02 06:00 | 718-7 | 11.2  | g/dL
        8          |         | 2025-01-02 06:00 | 718-7 | 11.2  | g/dL
        8          |         | 2024-01-02 06:00 | 718-7 | nan   | g/dL
    """
    assert findings(tmp_path, {"observations": observations}) == {
        ("observations", "unreadable"): (1, 6),
        ("observations", "unknown_patient"): (1, 4),
        ("observations", "unknown_stay"): (1, 3),
        ("observations", "after_observation"): (1, 5),
    }


def test_a_planned_procedure_may_lie_ahead(tmp_path: Path) -> None:
    procedures = """
        stay_id | position | code  | performed_at | is_planned
        1       | 1        | 36.06 | 2025-01-03   | true
        2       | 1        | 36.06 | 2025-01-03   | false
        3       | 1        | ABC   | 2024-03-21   |
    """
    assert findings(tmp_path, {"procedures": procedures}) == {
        ("procedures", "after_observation"): (1, 2),
        ("procedures", "code_outside_system"): (1, 3),
    }


def test_charges_beyond_the_total_are_set_aside_with_antimicrobials_as_a_part_of_drugs(
    tmp_path: Path,
) -> None:
    charges = """
        stay_id | incurred_on | category      | amount
        1       | 2024-01-02  | drugs         | 1010
        1       | 2024-01-02  | antimicrobials| 900
        2       | 2024-02-05  | drugs         | 300
        2       | 2024-02-05  | surgery       | 205.01
        3       | 2024-03-21  | drugs         | 801
        3       | 2024-03-21  | drugs         | -801
    """
    # Stay 1: 1010 of 1000, just 1 %, kept. Stay 2: 505.01 of 500, more than 505.00, both rows.
    # Stay 3: the refund is quarantined by itself, and 801 of 800 is within 1 %.
    assert findings(tmp_path, {"charges": charges}) == {
        ("charges", "negative"): (1, 6),
        ("charges", "beyond_total"): (2, 3),
    }


@pytest.mark.parametrize(
    ("system", "inside", "outside"),
    [
        ("icd10", ["I50.0", "a 01", "G63.2*", "I10.X"], ["428.0", "I5", "I50.00X"]),
        ("icd10cm", ["S72.001A", "C4A.0", "U07.1"], ["72001", "S72.00123A"]),
        ("icd10gb", ["I10.x00", "I10.x00x002", "I50.900"], ["I10.y00", "410.1"]),
        ("icd9cm", ["008", "250.01", "V27", "V45.81", "E885.9"], ["I50", "8", "250.011", "E88"]),
    ],
)
def test_a_code_has_the_form_of_its_system(
    tmp_path: Path, system: str, inside: list[str], outside: list[str]
) -> None:
    codes = inside + outside
    rows = "\n".join(f"1 | discharge | {place} | {code}" for place, code in enumerate(codes, 1))
    diagnoses = "stay_id | kind | position | code\n" + rows
    systems = f'{{ diagnosis = "{system}", procedure = "icd9cm3" }}'
    found = findings(tmp_path, {"diagnoses": diagnoses}, code_systems=systems)
    assert found == {("diagnoses", "code_outside_system"): (len(outside), len(inside) + 1)}


def test_a_row_may_name_its_own_code_system(tmp_path: Path) -> None:
    diagnoses = """
        stay_id | kind      | position | code  | code_system
        1       | discharge | 1        | 428.0 | icd9cm
        2       | discharge | 1        | 428.0 |
        3       | discharge | 1        | I50   | home-made
    """
    found = findings(tmp_path, {"diagnoses": diagnoses})
    # 428.0 is no code of the data set's ICD-10; home-made is no code system.
    assert found == {("diagnoses", "code_outside_system"): (1, 2), ("diagnoses", "not_allowed"): (1, 3)}


def test_every_fatal_problem_is_told_at_once_without_a_value(tmp_path: Path) -> None:
    stays = STAYS.replace("    3 | 8", "    2 | 8")
    folder = write_folder(tmp_path, {"stays": stays, "diagnoses": DIAGNOSES.replace("kind", "sort")})
    (folder / "visits.parquet").write_bytes(b"PAR1 but not a Parquet file")
    with pytest.raises(TableError) as caught:
        check(folder)
    assert str(caught.value).splitlines() == [
        "The data set cannot be used.",
        "patients: the required table is missing. Add it.",
        "stays: 2 of 3 rows share their key (stay_id) with another row (first at row 2). "
        "Leave only one row per key in the extract.",
        "diagnoses: required columns are missing: kind. Add them.",
        "visits: file visits.parquet cannot be read as Parquet. Replace the file.",
    ]


def test_procedures_need_a_code_system(tmp_path: Path) -> None:
    procedures = "stay_id | position | code\n1 | 1 | 36.06"
    folder = write_folder(
        tmp_path, CLEAN | {"procedures": procedures}, code_systems='{ diagnosis = "icd10" }'
    )
    with pytest.raises(TableError, match="procedures: their code system is not declared"):
        check(folder)


def test_unknown_columns_and_tables_are_warnings_with_their_names(tmp_path: Path) -> None:
    tables = CLEAN | {"patients": PATIENTS.replace("sex", "sex | shoe_size"), "labs": "a | b\n1 | 2"}
    tables["patients"] = tables["patients"].replace("female", "female | 38").replace("| male", "| male | 44")
    quality = check(write_folder(tmp_path, tables))
    assert quality.warnings == (
        "labs: not a table of the data contract; it is left out.",
        "patients: column shoe_size is not part of the table; it is left out.",
    )
    assert quality.rules == ()


def test_no_message_holds_a_value_or_an_identifier(tmp_path: Path) -> None:
    stays = replaced(STAYS, 2, "discharged_at", "SECRET-TIME").replace("| 8 ", "| SECRET-ID ")
    text = check(write_folder(tmp_path, CLEAN | {"stays": stays})).to_json()
    assert re.search(r'"rule": "unreadable"', text)
    assert "SECRET" not in text


def test_a_file_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, CLEAN)
    stays = (folder / "stays.csv").read_text("utf-8").replace("H", "北京")
    (folder / "stays.csv").write_bytes(stays.encode("gb18030"))
    with pytest.raises(TableError, match=r"stays: file stays\.csv .*UTF-8") as caught:
        check(folder)
    assert "北" not in str(caught.value)


def test_a_line_with_too_many_values_is_refused_by_its_number(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, CLEAN)
    lines = (folder / "patients.csv").read_text("utf-8").splitlines()
    lines[2] += ",SECRET"
    (folder / "patients.csv").write_text("\n".join(lines), "utf-8")
    with pytest.raises(
        TableError, match=r"patients\.csv cannot be read as CSV \(first at line 3\)"
    ) as caught:
        check(folder)
    assert "SECRET" not in str(caught.value)


def test_an_extract_is_not_complete_until_a_day_to_come(tmp_path: Path) -> None:
    # A far date for "open" would call every follow-up complete.
    for day in ("2200-01-01", "9999-12-31"):
        with pytest.raises(TableError, match="observed_until lies in the future"):
            check(write_folder(tmp_path / day, CLEAN, observed_until=day))
    # Shifted dates may lie anywhere.
    shifted = write_folder(tmp_path / "s", CLEAN, observed_until="9999-12-31", timeline='"shifted"')
    assert check(shifted).rules == ()


@pytest.mark.parametrize("name", ["_row", "file_row_number", "_Unreadable"])
def test_a_column_named_like_one_of_ours_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    patients = PATIENTS.replace("| sex", f"| sex | {name}").replace("male\n", "male | 1\n")
    with pytest.raises(TableError, match=f"patients: file patients.csv has a column named {name}"):
        check(write_folder(tmp_path, CLEAN | {"patients": patients}))


def test_a_header_that_may_hold_values_is_not_repeated(tmp_path: Path) -> None:
    patients = PATIENTS.replace("| sex", "| sex | Secret Name Smith | ward").replace(
        "male\n", "male | x | y\n"
    )
    quality = check(write_folder(tmp_path, CLEAN | {"patients": patients}))
    assert quality.warnings == (
        "patients: column ward is not part of the table; it is left out.",
        "patients: 1 columns with unusual names are left out. Is it the header?",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "is empty"), ("patient_id;sex\n7;male\n", "is separated by semicolons")],
)
def test_a_file_that_is_no_table_of_commas_says_so(tmp_path: Path, text: str, reason: str) -> None:
    folder = write_folder(tmp_path, CLEAN)
    (folder / "patients.csv").write_text(text)
    with pytest.raises(TableError, match=reason):
        check(folder)


def test_a_code_system_without_categories_is_set_aside(tmp_path: Path) -> None:
    procedures = """
        stay_id | position | code  | code_system
        1       | 1        | 99213 | cpt
        1       | 2        | 3615  |
    """
    assert findings(tmp_path / "a", {"procedures": procedures}) == {("procedures", "not_allowed"): (1, 1)}
    with pytest.raises(TableError, match=r"code_systems\.procedure"):
        check(write_folder(tmp_path / "b", CLEAN, code_systems='{ diagnosis = "icd10", procedure = "cpt" }'))


def test_what_leaves_outcomes_unknown_is_said(tmp_path: Path) -> None:
    def warnings(folder: str, tables: dict[str, str], **declaration: str) -> list[str]:
        given = {name: text for name, text in (CLEAN | tables).items() if text}
        quality = check(write_folder(tmp_path / folder, given, **declaration))
        return [warning.split(",")[0] for warning in quality.warnings]

    in_hospital = {"deaths": '"in_hospital"'}
    endings = {"stays": STAYS.replace("total_cost", "discharge_disposition").replace("1000", "home")
               .replace("500", "").replace("800", "died")}  # fmt: skip
    assert warnings("a", {"procedures": ""}, **in_hospital) == [
        "procedures: no such table",
        "stays: 3 of 3 rows do not say how the stay ended (discharge_disposition)",
    ]
    assert warnings("b", endings, **in_hospital) == [
        "stays: 1 of 3 rows do not say how the stay ended (discharge_disposition)"
    ]
    assert warnings("c", {}) == []
    given = '\n[labels]\nreadmission = { kind = "given", definition = "all-cause" }'
    assert warnings("d", {"procedures": ""}, code_systems=f'{{ diagnosis = "icd10" }}{given}') == []
    # 60 days before 31 December is 1 November.
    open_stays = STAYS.replace("discharged | 2024-03-20 08:00 | 2024-03-25 09:00", "in | 2024-10-31 08:00 |")
    assert warnings("e", {"stays": open_stays}) == [
        "stays: 1 of 3 rows are still in hospital 60 days after admission. Every later stay of such a "
        "patient counts as part of it. Add the discharges that were forgotten."
    ]
    recent = open_stays.replace("2024-10-31", "2024-11-02")
    assert warnings("f", {"stays": recent}) == []


def test_a_broken_rule_names_its_columns_and_what_they_may_hold(tmp_path: Path) -> None:
    patients = "patient_id | birth_date | sex\n7 | 1950-03-01 | f\n8 | 1960-13-01 | male"
    stays = STAYS.replace("discharged | 2024-01-01", "completed | 2024-01-01").replace("urgent", "soon")
    quality = check(write_folder(tmp_path, CLEAN | {"patients": patients, "stays": stays}))
    assert [(rule.table, rule.rule, rule.columns, rule.n_rows) for rule in quality.rules][:4] == [
        ("patients", "unreadable", ("birth_date",), 1),
        ("patients", "not_allowed", ("sex",), 1),
        ("stays", "not_allowed", ("admission_type", "status"), 2),
        ("stays", "unknown_patient", (), 1),
    ]
    assert quality.rules[1].what_to_do == (
        "Map the value to one of those that the data contract allows. sex: male, female, other, unknown."
    )


@pytest.mark.parametrize("complete_by", ["discharge", "admission"])
@pytest.mark.parametrize(("n_days", "found"), [(30, []), (31, ["until"]), (62, ["until"])])
def test_an_end_without_stays_is_doubted_where_twenty_were_to_be_expected(
    tmp_path: Path, complete_by: str, n_days: int, found: list[str]
) -> None:
    # A stay a day from 1 January to 10 April 2024, each of a day: 31 silent days miss 31 stays.
    days = pd.date_range("2024-01-01", "2024-04-10").astype("str")
    lines = [f"{n} | 7 | H | discharged | {day} | {day} | emergency | 1" for n, day in enumerate(days)]
    tables = CLEAN | {
        "stays": "\n".join([STAYS.strip().splitlines()[0], *lines]),
        "diagnoses": DIAGNOSES.strip().splitlines()[0],
    }
    until = pd.Timestamp("2024-04-10") + pd.Timedelta(days=n_days)
    quality = check(
        write_folder(
            tmp_path,
            tables,
            observed_from="2024-01-01",
            observed_until=f"{until:%Y-%m-%d}",
            complete_by=f'"{complete_by}"',
        )
    )
    said = [text for text in quality.warnings if "which would hold" in text]
    assert len(said) == len(found)
    if n_days == 62:
        assert said[0].startswith(
            f"stays: the last {complete_by} lies 62 days before observed_until, which would hold about 62 "
        )


def test_a_start_without_stays_is_doubted_but_not_a_few_stays_pause(tmp_path: Path) -> None:
    # 3 stays tell no number a day.
    few = check(write_folder(tmp_path / "few", CLEAN, observed_from="2020-01-01"))
    assert not any("which would hold" in text for text in few.warnings)
    # 20 stays in 20 days; 1 January lies 31 days after 1 December.
    lines = [f"{n} | 7 | H | discharged | 2024-01-{n:02} | 2024-01-{n:02} | urgent | 1" for n in range(1, 21)]
    tables = CLEAN | {
        "stays": "\n".join([STAYS.strip().splitlines()[0], *lines]),
        "diagnoses": DIAGNOSES.strip().splitlines()[0],
    }
    declared = {"observed_from": "2023-12-01", "observed_until": "2024-01-20"}
    (said,) = (
        text
        for text in check(write_folder(tmp_path / "late", tables, **declared)).warnings
        if "which would hold" in text
    )
    assert said.startswith("stays: the first discharge lies 31 days after observed_from, which would hold")
