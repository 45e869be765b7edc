"""The source `table`: what a mapping file says becomes canonical rows, and nothing else does."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.build import build
from features.dataset import open_dataset
from features.ingest import ingest
from features.points import Point
from features.quality.report import Quality
from features.sources.table_mapping import parse_mapping
from features.tables import TABLES, TableError

PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
EXAMPLES = Path(__file__).parents[2] / "examples"
WARD = Path(__file__).parents[1] / "extracts" / "table" / "ward.csv"

DECLARED = """
[dataset]
currency = "EUR"
cost_basis = "cost"
time_zone = "Europe/Berlin"
timeline = "none"
complete_by = "discharge"
deaths = "in_hospital"
code_systems = {}
"""
IDS = """
[patients]
patient_id = "person"
[stays]
stay_id = "id"
age_years = { value = 50 }
"""


def rows(out: Path, name: str) -> pd.DataFrame:
    return duckdb.sql(f"SELECT * FROM ({open_dataset(out).select(TABLES[name])}) ORDER BY ALL").df()


def cells(frame: pd.DataFrame, *columns: str) -> list[list[object]]:
    """The columns' values, null as None."""
    found = frame[list(columns)].astype("object")
    return found.where(found.notna(), None).to_numpy().tolist()


def mapped(folder: Path, table: str, mapping: str, **options: object) -> Quality:
    """Ingest a small file to `folder/out` by a mapping beside it."""
    (folder / "t.csv").write_text(table, "utf-8")
    (folder / "t.csv.toml").write_text(mapping, "utf-8")
    return ingest("table", folder / "t.csv", folder / "out", options=options, max_quarantine_share=1)


def refused(folder: Path, table: str, mapping: str) -> str:
    with pytest.raises(TableError) as error:
        mapped(folder, table, mapping)
    assert not (folder / "out").exists()
    return str(error.value)


@pytest.fixture
def ward(tmp_path: Path) -> tuple[Quality, Path]:
    return ingest("table", WARD, tmp_path / "out", max_quarantine_share=1), tmp_path / "out"


def test_patients_are_one_row_each_with_dates_and_sex_as_the_contract_writes_them(
    ward: tuple[Quality, Path],
) -> None:
    patients = rows(ward[1], "patients")
    assert patients["patient_id"].tolist() == ["7", "8", "9"]
    assert patients["birth_date"].dropna().astype(str).tolist() == ["1950-02-01", "1988-12-31"]
    assert patients["sex"].tolist() == ["female", "male", "unknown"]  # "?" is empty, and empty is unknown


def test_stays_have_times_and_money_and_the_declared_constants(ward: tuple[Quality, Path]) -> None:
    stays = rows(ward[1], "stays")
    # Stay 3 has "1,2" as its bill, which is no number of thousands; stay 4 came on 30 February.
    assert stays["stay_id"].tolist() == ["1", "2"]
    assert stays["admitted_at"].astype(str).tolist() == ["2020-03-05 14:30:00", "2020-04-01 08:00:00"]
    assert [float(cost) for cost in stays["total_cost"]] == [1234.5, 20000.0]
    assert cells(stays, "admission_type", "discharge_disposition", "hospital_id", "status") == [
        ["emergency", "home", "H1", "discharged"],
        ["elective", "died", "H1", "discharged"],
    ]


def test_a_value_that_the_mapping_cannot_read_is_quarantined_as_it_stood(
    ward: tuple[Quality, Path],
) -> None:
    quality, out = ward
    found = {(rule.table, rule.rule, rule.columns, rule.first_row) for rule in quality.rules}
    assert ("stays", "unreadable", ("admitted_at", "total_cost"), 3) in found
    bad = pd.read_parquet(out / "quarantine" / "stays.parquet").set_index("stay_id")
    assert bad.loc["3", "total_cost"] == "1,2"
    assert bad.loc["4", "admitted_at"] == "30/02/2020 01:00"
    assert bad.loc["4", "admission_type"] == "walk-in"  # no else is given: it stays
    assert bad.loc["4", "discharge_disposition"] == "other"  # here one is


def test_diagnoses_keep_their_places_and_their_flags_and_lists_are_taken_apart(
    ward: tuple[Quality, Path],
) -> None:
    assert cells(rows(ward[1], "diagnoses"), "stay_id", "position", "code", "present_on_admission") == [
        ["1", 1, "I500", "Y"],
        ["1", 2, "E119", "N"],
        ["1", 4, "N390", None],  # the list goes on after the three columns
        ["1", 5, "A047", None],
        ["2", 1, "I501", "Y"],
        ["2", 3, "J189", "W"],  # the second place is empty: the third stays the third
    ]
    procedures = rows(ward[1], "procedures")
    assert cells(procedures, "stay_id", "position", "code") == [["1", 1, "3812"]]
    # A date without a time is known at the end of its day.
    assert str(procedures["performed_at"][0]) == "2020-03-06 23:59:59.999999"


def test_facts_say_from_when_on_they_are_known(ward: tuple[Quality, Path]) -> None:
    assert cells(rows(ward[1], "facts"), "stay_id", "name", "value", "unit", "available_from") == [
        ["1", "band", "old", None, "admission"],
        ["1", "sodium", "131", "mmol/L", "admission"],
        ["1", "visits", "2", None, "preadmission"],
        ["2", "band", "old", None, "admission"],
        ["2", "sodium", "119", "mmol/L", "admission"],  # "<120" by the map; its visits are not known
    ]


def test_an_outcome_of_several_columns_is_unknown_where_one_is_empty(ward: tuple[Quality, Path]) -> None:
    assert cells(rows(ward[1], "outcomes"), "stay_id", "complication") == [["1", False], ["2", True]]
    bad = pd.read_parquet(ward[1] / "quarantine" / "outcomes.parquet").set_index("stay_id")
    assert bad["complication"].isna().tolist() == [
        True,
        True,
    ]  # stays 3 and 4: no hit, and one column is empty


def test_columns_that_are_not_mapped_are_counted(ward: tuple[Quality, Path]) -> None:
    assert ward[0].warnings[0] == (
        "1 of 24 columns of the file are not mapped and not used, 1 of them on purpose (left_out)."
    )


@pytest.mark.parametrize("form", ["gz", "zip", "tsv", "parquet", "latin-1"])
def test_any_flat_file_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    text = "id,person,Größe\n1,7,schmal\n"
    extra = ""
    mapping = DECLARED + IDS + '[facts_from]\nadmission = []\n[[facts]]\nname = "size"\ncolumn = "größe"\n'
    mapping += 'available_from = "admission"\n'
    match form:
        case "gz":
            file = tmp_path / "t.csv.gz"
            file.write_bytes(gzip.compress(text.encode()))
        case "zip":
            file, extra = tmp_path / "t.zip", '[file]\nmember = "b.csv"\n'
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("folder/a.csv", "x\n1\n")
                archive.writestr("folder/b.csv", text)
        case "tsv":
            file = tmp_path / "t.tsv"
            file.write_text(text.replace(",", "\t"), "utf-8")
        case "parquet":
            file = tmp_path / "t.parquet"
            pd.DataFrame({"id": [1], "person": [7], "Größe": ["schmal"]}).to_parquet(file)
        case _:
            file, extra = tmp_path / "t.txt", '[file]\ndelimiter = "|"\nencoding = "latin-1"\n'
            file.write_text(text.replace(",", "|"), "latin-1")
    (tmp_path / "how.toml").write_text(extra + mapping, "utf-8")
    ingest("table", file, tmp_path / "out", options={"mapping": tmp_path / "how.toml"})
    assert cells(rows(tmp_path / "out", "facts"), "stay_id", "value") == [["1", "schmal"]]
    assert cells(rows(tmp_path / "out", "stays"), "patient_id", "age_years") == [["7", 50]]


def test_a_row_number_as_id_is_said_in_the_mapping_and_tells_no_order(tmp_path: Path) -> None:
    mapping = DECLARED + (
        "[patients]\npatient_id = { row_number = true }\n"
        '[stays]\nstay_id = { row_number = true }\nage_years = "age"\n'
    )
    mapped(tmp_path, "age\n" + "".join(f"{age}\n" for age in range(20, 60)), mapping)
    ages = rows(tmp_path / "out", "stays").sort_values("stay_id")["age_years"].tolist()
    assert sorted(ages) == list(range(20, 60))
    assert ages != sorted(ages)
    assert len(rows(tmp_path / "out", "patients")) == 40


@pytest.mark.parametrize(
    ("text", "how", "found"),
    [
        ('"1.234,50"', 'thousands = "."\ndecimal = ","', "1234.50"),
        ("12.5", "factor = 100", "1250.0"),
        ("-3", 'decimal = "."', "-3"),
        ('"12,34"', 'thousands = ","', None),  # two digits are no group of three
        ("about 5", 'decimal = "."', None),
        ("52.9", "floor = true", "52"),
    ],
)
def test_numbers_are_read_strictly(tmp_path: Path, text: str, how: str, found: str | None) -> None:
    mapping = DECLARED + IDS + (f'[[facts]]\nname = "n"\navailable_from = "admission"\ncolumn = "n"\n{how}\n')
    table = f"id,person,n\n1,7,{text}\n"
    if found is None:
        words = refused(tmp_path, table, mapping)
        assert "facts.1: 1 values of n (first at row 1)" in words
        assert text.strip('"') not in words  # never a patient's value
    else:
        mapped(tmp_path, table, mapping)
        assert rows(tmp_path / "out", "facts")["value"].tolist() == [found]


def test_codes_that_look_like_numbers_are_categories_where_the_mapping_says_so(tmp_path: Path) -> None:
    fact = '[[facts]]\nname = "group"\navailable_from = "discharge"\ncolumn = "g"\ntype = "category"\n'
    mapped(tmp_path, "id,person,g\n1,7,55\n2,7,2b\n", DECLARED + IDS + fact)
    assert rows(tmp_path / "out", "facts")["value"].tolist() == ["code 55", "2b"]


def test_a_few_texts_among_numbers_are_told_before_they_turn_them_into_a_category(tmp_path: Path) -> None:
    table = "id,person,crp,mood\n1,7,5,low\n2,7,<1,low\n3,7,8,4\n"
    quality = mapped(tmp_path, table, DECLARED + IDS + '[facts_from]\nadmission = ["crp", "mood"]\n')
    assert [note.split(", so")[0] for note in quality.warnings if note.startswith("facts")] == [
        "facts: 1 of 3 values of crp are no numbers"
    ]


@pytest.mark.parametrize(
    ("missing", "expected"),
    # Rows: both 0; one 1; one 1 and one empty; one 0 and one empty; both empty; one that is no number.
    [
        ("", [False, True, True, None, None, None]),
        (', missing = "no"', [False, True, True, False, False, None]),
    ],
)
def test_unknown_is_not_no(tmp_path: Path, missing: str, expected: list[bool | None]) -> None:
    table = "id,person,a,b\n1,1,0,0.0\n2,2,0,1\n3,3,,1\n4,4,0,\n5,5,,\n6,6,0,odd\n"
    outcome = (
        f'[outcomes]\ncomplication = {{ any_of = {{ columns = ["a", "b"], not_values = [0]{missing} }} }}\n'
    )
    mapped(tmp_path, table, DECLARED + IDS + outcome)
    assert [row[0] for row in cells(rows(tmp_path / "out", "outcomes"), "complication")] == expected


def test_rows_that_contradict_each_other_about_a_patient_leave_it_unknown(tmp_path: Path) -> None:
    mapping = DECLARED + IDS.replace('"person"\n', '"person"\nsex = "sex"\nbirth_date = "born"\n')
    quality = mapped(
        tmp_path,
        "id,person,sex,born\n1,7,male,1950-01-01\n2,7,female,1950-01-01\n3,8,male,1960-01-01\n"
        "4,8,male,1961-01-01\n",
        mapping,
    )
    assert cells(rows(tmp_path / "out", "patients"), "patient_id", "sex") == [["7", "unknown"], ["8", "male"]]
    assert [note for note in quality.warnings if "contradict" in note] == [
        "patients: 1 patients have rows that contradict each other in sex; it counts as unknown.",
        "patients: 1 patients have rows that contradict each other in birth_date; it counts as unknown.",
    ]


def test_charges_of_several_columns_become_rows(tmp_path: Path) -> None:
    mapping = DECLARED.replace('"none"', '"real"\nobserved_from = 2020-01-01\nobserved_until = 2020-12-31')
    mapping += IDS.replace('"id"\n', '"id"\nadmitted_at = "came"\ndischarged_at = "went"\n')
    mapping += '[charges]\nincurred_on = "went"\n[charges.amounts]\n'
    mapping += 'drugs = "drug cost"\nsurgery = { column = "Theatre", thousands = "," }\n'
    mapped(
        tmp_path,
        'id,person,came,went,Drug cost,Theatre\n1,7,2020-01-02,2020-01-05,12.5,"1,000"\n',
        mapping,
    )
    charges = rows(tmp_path / "out", "charges").sort_values("category")
    assert [[name, float(amount)] for name, amount in cells(charges, "category", "amount")] == [
        ["drugs", 12.5],
        ["surgery", 1000.0],
    ]


def test_a_readmission_that_would_not_be_used_is_refused_with_the_lines_to_add(tmp_path: Path) -> None:
    outcome = '[outcomes]\nreadmission = "r"\n'
    words = refused(tmp_path, "person,id,r\n7,1,1\n", DECLARED + IDS + outcome)
    assert "outcomes.readmission: not used while readmission is derived" in words
    lines = words.split("these two lines:\n")[1].replace("…", "within 30 days")
    quality = mapped(tmp_path, "person,id,r\n7,1,1\n", DECLARED + IDS + outcome + lines)
    assert quality.counts["outcomes"].n_out == 1


@pytest.mark.parametrize(
    ("first", "second"), [("130,4", "131"), ("1.234,5", "12,25"), ("1,234", "1,234,567")]
)
def test_numbers_with_commas_are_told_before_they_become_a_category(
    tmp_path: Path, first: str, second: str
) -> None:
    table = f"person;id;x\n7;1;{first}\n8;2;{second}\n"
    form = '[file]\ndelimiter = ";"\n'
    quality = mapped(tmp_path, table, DECLARED + IDS + form + '[facts_from]\nadmission = ["x"]\n')
    note = next(warning for warning in quality.warnings if warning.startswith("facts: "))
    assert "of 2 values of x look like numbers with a comma" in note
    assert 'say decimal = ","' in note


def test_a_refusal_of_what_is_no_number_names_the_ways_to_write_one(tmp_path: Path) -> None:
    fact = '[[facts]]\nname = "x"\ncolumn = "x"\navailable_from = "admission"\ntype = "number"\n'
    words = refused(tmp_path, 'person,id,x\n7,1,"130,4"\n', DECLARED + IDS + fact)
    assert 'decimal = "," and thousands = "."' in words


@pytest.mark.parametrize(
    ("content", "form", "words"),
    [
        (b"person;id\n7;1\n", "", "t.csv is separated by semicolons. Set its delimiter under [file]"),
        (b"person,id\n\xe4,1\n", "", "t.csv is not text in UTF-8. Set its encoding under [file]"),
        (b"person,id\n\xe4,1,2\n", 'encoding = "latin-1"', "a comma-separated file in ISO8859-1,"),
    ],
)
def test_a_file_of_another_form_is_answered_with_the_setting_that_reads_it(
    tmp_path: Path, content: bytes, form: str, words: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    (tmp_path / "t.csv.toml").write_text(f"{DECLARED}{IDS}[file]\n{form}\n", "utf-8")
    with pytest.raises(TableError) as error:
        ingest("table", tmp_path / "t.csv", tmp_path / "out")
    assert words in str(error.value)
    assert "Write it again with" not in str(error.value)


def test_what_is_not_declared_and_what_the_file_lacks_is_told_at_once_in_plain_words(tmp_path: Path) -> None:
    declared = DECLARED.replace('currency = "EUR"', 'observed_from = "soon"')
    words = refused(tmp_path, "person,idd\n7,1\n", declared + IDS)
    assert "observed_from: is no date. Write it like 2020-12-31" in words
    assert "currency: is required" in words
    assert "stays.stay_id: the file has no column id. Did you mean idd?" in words
    any_of = "[outcomes]\ncomplication = { any_of = { columns = [], values = [1] } }\n"
    words = refused(tmp_path, "person,id\n7,1\n", DECLARED + IDS + any_of)
    assert "any_of.columns: is empty. Name at least one." in words


def test_all_contradictions_of_a_mapping_are_told_at_once(tmp_path: Path) -> None:
    contradicting = '[facts_from]\nadmission = ["x", "X"]\n[left_out]\nlate = ["x", "id"]\n'
    words = refused(tmp_path, "person,id,x\n7,1,2\n", DECLARED + IDS + contradicting)
    assert "facts: 2 have the name x" in words
    assert "left_out: x must not be used (late)" in words
    assert "left_out: id must not be used (late), but stays.stay_id uses it." in words


def test_no_columns_say_that_there_were_no_codes_and_readmission_can_be_derived(tmp_path: Path) -> None:
    declared = DECLARED.replace(
        'timeline = "none"',
        'timeline = "real"\nobserved_from = 2020-01-01\nobserved_until = 2020-12-31',
    ).replace("code_systems = {}", 'code_systems = { diagnosis = "icd10" }')
    ids = IDS + 'admitted_at = "a"\ndischarged_at = "b"\ndischarge_disposition = { value = "home" }\n'
    codes = '[[diagnoses]]\ncolumns = ["d"]\nknown_at = "b"\n'
    table = "person,id,a,b,d\n7,1,2020-03-01,2020-03-05,I50.0\n7,2,2020-03-20,2020-03-22,I50.0\n"
    unknown = mapped(tmp_path, table, declared + ids + codes)
    assert any(warning.startswith("procedures: no such table") for warning in unknown.warnings)
    none = mapped(tmp_path, table, declared + ids + codes + "[[procedures]]\ncolumns = []\n")
    assert none.counts["procedures"].n_out == 0
    assert not any("procedures" in warning for warning in none.warnings)
    made = build(open_dataset(tmp_path / "out"), Point.DISCHARGE, tmp_path / "rows.parquet").read()
    # The first stay's return after 15 days; the second's follow-up is complete without one.
    assert made.sort_values("stay_id")["label_readmission"].tolist() == [True, False]


def test_where_there_are_no_diagnoses_no_code_system_is_needed(tmp_path: Path) -> None:
    quality = mapped(tmp_path, "person,id\n7,1\n", DECLARED + IDS + "[[diagnoses]]\ncolumns = []\n")
    assert quality.counts["diagnoses"].n_out == 0


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ('[stays]\nstay_id = "idd"', "stays.stay_id: the file has no column idd. Did you mean id?"),
        (
            '[stays]\nstay_id = "id"\nadmission_typ = "x"',
            "admission_typ is no column of stays. Did you mean ",
        ),
        ('[stays]\nadmitted_at = "id"', "stays: stay_id is required."),
        (
            '[stays]\nstay_id = "id"\nage_years = { column = "a", maps = {} }',
            "stays.age_years.maps: no such key here. Remove it or correct its name.",
        ),
        (
            '[stays]\nstay_id = "id"\nage_years = { value = 1, column = "person" }',
            "stays.age_years: give exactly one of column, value",
        ),
        (
            '[stays]\nstay_id = "id"\nadmitted_at = { column = "person", format = "%Q" }',
            "stays.admitted_at: %Q is no format of a date",
        ),
        (
            '[stays]\nstay_id = "id"\n[[facts]]\nname = "x"\ncolumn = "id"',
            "facts.1.available_from: is required",
        ),
        (
            '[stays]\nstay_id = "id"\n[facts_from]\nadmission = ["Id"]\n[left_out]\nid = ["ID"]',
            "left_out: ID must",
        ),
        (
            '[stays]\nstay_id = "id"\n[facts_from]\nadmission = ["person"]\n[[facts]]\nname = "person"\n'
            'available_from = "admission"\ncolumn = "id"',
            "2 have the name person",
        ),
        ('[stays]\nstay_id = "id"\n[facts_from]\nadmission = ["2nd"]', "2nd cannot be a fact's name"),
        (
            '[stays]\nstay_id = "id"\n[[diagnoses]]\ncolumns = ["id"]\nsplit = ";"\n'
            '[[diagnoses]]\ncolumns = ["id"]',
            "diagnoses.2: give its position",
        ),
        (
            '[stays]\nstay_id = "id"\n[[procedures]]\ncolumns = []\n[[procedures]]\ncolumns = ["id"]',
            "procedures: columns = [] says that there were no codes, but there are 2 entries.",
        ),
        (
            '[stays]\nstay_id = "id"\n[charges]\nincurred_on = "id"\namounts = { drinks = "id" }',
            "drinks is no charge category. There are: general",
        ),
        ('[stays]\nstay_id = "id"\n[file]\nencoding = "klingon"', "klingon is no known encoding"),
        ("[stays", "not readable as TOML"),
    ],
)
def test_a_wrong_mapping_is_told_with_its_place_and_what_to_do(
    tmp_path: Path, mapping: str, words: str
) -> None:
    ids = '[patients]\npatient_id = "person"\n'
    assert words in refused(tmp_path, "id,person\n1,7\n", DECLARED + ids + mapping)


def test_a_missing_mapping_file_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(TableError, match=r"t\.csv\.toml: no such mapping file.*--describe"):
        ingest("table", tmp_path / "t.csv", tmp_path / "out")


def test_what_the_declaration_lacks_is_told(tmp_path: Path) -> None:
    assert "currency: is required" in refused(tmp_path, "id,person\n1,7\n", IDS)


def test_a_declaration_stands_over_the_mappings_own(tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text('currency = "CHF"\n')
    mapped(tmp_path, "id,person\n1,7\n", DECLARED + IDS, declaration=tmp_path / "d.toml")
    assert open_dataset(tmp_path / "out").declaration.currency == "CHF"
    assert open_dataset(tmp_path / "out").declaration.cost_basis == "cost"


def test_a_zip_of_several_files_needs_a_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "x\n1\n")
    (tmp_path / "t.zip.toml").write_text(DECLARED + IDS)
    with pytest.raises(TableError, match=r"2 files to read, not 1.*there are: a\.csv, b\.csv"):
        ingest("table", tmp_path / "t.zip", tmp_path / "out")


EVIL = "x', (SELECT 1)) --\"; DROP VIEW file_rows; '"


def test_nothing_of_a_mapping_file_is_sql(tmp_path: Path) -> None:
    quoted = EVIL.replace('"', '""')
    evil = EVIL.replace('"', '\\"')
    mapping = (
        DECLARED
        + f"""
[file]
empty = ["{evil}e"]
[patients]
patient_id = "person"
sex = {{ column = "{evil}", map = {{ "{evil}" = "male" }}, else = "{evil}", missing = "{evil}" }}
[stays]
stay_id = "id"
age_years = {{ value = 50 }}
hospital_id = {{ value = "{evil}" }}
admission_department = {{ column = "{evil}", format = "{evil}" }}
[[diagnoses]]
columns = ["{evil}"]
split = "{evil}"
[[facts]]
name = "f"
column = "{evil}"
available_from = "admission"
unit = "{evil}"
[outcomes]
complication = {{ any_of = {{ columns = ["{evil}"], values = ["{evil}"] }} }}
"""
    )
    declared = mapping.replace("code_systems = {}", 'code_systems = { diagnosis = "icd10" }')
    mapped(tmp_path, f'id,person,"{quoted}"\n1,7,"{quoted}"\n', declared)
    assert rows(tmp_path / "out", "stays")["hospital_id"].tolist() == [EVIL]
    assert cells(rows(tmp_path / "out", "facts"), "value", "unit") == [[EVIL, EVIL]]
    assert cells(rows(tmp_path / "out", "outcomes"), "complication") == [[True]]
    assert cells(rows(tmp_path / "out", "patients"), "sex") == [["male"]]


@pytest.mark.parametrize("name", ["support2", "mi_complications", "sparcs"])
def test_the_mapping_files_of_the_examples_are_valid(name: str) -> None:
    parse_mapping((EXAMPLES / name / "mapping.toml").read_text("utf-8"), name)


def _public(name: str, file: str, out: Path) -> Quality:
    source = PUBLIC_DATA / file
    if not source.is_file():
        pytest.skip(f"the public file {file} is not in the public data folder")
    return ingest("table", source, out, options={"mapping": EXAMPLES / name / "mapping.toml"})


def test_support2_is_mapped_without_what_a_cost_model_must_not_see(tmp_path: Path) -> None:
    quality = _public("support2", "support2_dev.zip", tmp_path / "out")
    assert quality.rules == ()
    assert quality.counts["stays"].n_out == 6355
    outcomes = rows(tmp_path / "out", "outcomes")
    # 593 costs are empty and 13 are 0: 6355 - 606.
    assert outcomes["episode_cost"].notna().sum() == 5749
    assert outcomes["died_in_hospital"].sum() == 1634
    never = {"charges", "totmcst", "slos", "d_time", "death", "hospdead", "avtisst", "sfdm2", "dnr", "dnrday"}
    assert not (never | {"hday", "totcst", "race", "id"}) & set(rows(tmp_path / "out", "facts")["name"])


def test_mi_complications_are_any_complication_or_death(tmp_path: Path) -> None:
    quality = _public("mi_complications", "mi_complications_dev.zip", tmp_path / "out")
    # Four have no age.
    assert [(rule.rule, rule.n_rows) for rule in quality.rules if rule.table == "stays"] == [
        ("age_unknown", 4)
    ]
    outcomes = rows(tmp_path / "out", "outcomes")
    assert len(outcomes) == 1169
    assert outcomes["died_in_hospital"].sum() == 193  # of 1173 rows 980 survived; all four without age did
    # 722 of 1173 rows have a column of the twelve that is not 0; three of the four without age among them.
    assert outcomes["complication"].sum() == 719
    # The ids carry no order, though the file is sorted by outcome: runs are as short as by chance
    # (2 * 719 * 450 / 1169 + 1 = 554.6 expected, a standard deviation of about 16).
    label = outcomes.sort_values("stay_id")["complication"].astype(int)
    assert 490 < (label.diff().fillna(1) != 0).sum() < 620
    facts = rows(tmp_path / "out", "facts")
    known = set(facts.loc[facts["available_from"] == "admission", "name"])
    assert {"r_ab_1_n", "na_r_1_n", "not_na_1_n", "k_blood"} <= known
    later = {"r_ab_2_n", "r_ab_3_n", "na_r_2_n", "na_r_3_n", "not_na_2_n", "not_na_3_n", "lid_s_n", "nitr_s"}
    assert not (later | {"sum", "id", "let_is", "zsn", "fibr_preds"}) & known


def test_sparcs_is_mapped_with_everything_coded_known_at_discharge_alone(tmp_path: Path) -> None:
    quality = _public("sparcs", "sparcs_2016_sample.csv", tmp_path / "out")
    assert quality.rules == ()
    assert quality.counts["stays"].n_out == quality.counts["patients"].n_out == 1000
    stays, facts = rows(tmp_path / "out", "stays"), rows(tmp_path / "out", "facts")
    assert set(stays["age_years"]) == {9, 24, 40, 60, 80}
    assert stays["total_cost"].notna().all()
    assert (stays["discharge_disposition"] == "died").sum() == 18
    known = set(facts.loc[facts["available_from"] == "admission", "name"])
    assert known == {"from_emergency_department", "health_service_area"}
    assert "total_charges" not in set(facts["name"])
