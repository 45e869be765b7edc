"""Front pages: every layout, encoding and letter case gives the same stays; what is wrong is found."""

from __future__ import annotations

import csv
import gzip
import io
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.dataset import connect, open_dataset
from features.delimited import csv_to_parquet
from features.ingest import ingest
from features.points import Point
from features.quality.report import Quality
from features.sources.front_page import layouts
from features.tables import CHARGE_CATEGORIES, TABLES, TableError
from tests.hospital import rows as features_of

Record = dict[str, str]

PAGES: list[Record] = tomllib.loads(
    (Path(__file__).parents[1] / "extracts/front_page/pages.toml").read_text("utf-8")
)["page"]
PERIOD = "observed_from = 2021-01-01\nobserved_until = 2021-12-31\n"


def columns(layout: str) -> list[str]:
    file = Path(layouts.__file__).parent / f"layout_{layout}.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        return [row["column"] for row in csv.DictReader(lines)]


def wide(
    pages: Sequence[Record], header: Sequence[str], *, encoding: str = "gb18030", delimiter: str = ","
) -> bytes:
    """The pages as a hospital exports them: every column, a dash where the form has nothing to say."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    for page in pages:
        folded = {name.lower(): value for name, value in page.items()}
        writer.writerow([folded.get(name.lower(), "-" if name[0] in "AC" else "") for name in header])
    return text.getvalue().encode(encoding)


def extract(folder: Path, declared: str = PERIOD, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.toml").write_text(declared, "utf-8")
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


NARROW = [name for name in columns("2021") if any(name in page for page in PAGES)]
"""The columns that the pages use: enough where the width is not what is tested."""


def read(
    tmp_path: Path,
    pages: Sequence[Record] = PAGES,
    header: Sequence[str] = NARROW,
    *,
    share: float = 1.0,
    **options: object,
) -> tuple[Quality, Path]:
    source, out = extract(tmp_path / "in", pages__csv=wide(pages, header)), tmp_path / "out"
    return ingest("front_page", source, out, options=options, max_quarantine_share=share), out


def table(out: Path, name: str, *names: str) -> list[tuple[object, ...]]:
    selected = ", ".join(names) or "*"
    return duckdb.sql(
        f"SELECT {selected} FROM ({open_dataset(out).select(TABLES[name])}) ORDER BY ALL"
    ).fetchall()


def changed(number: int, **values: str) -> list[Record]:
    """The pages with some columns of one of them changed."""
    return [page | values if place == number else page for place, page in enumerate(PAGES)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Quality, Path]:
    return read(tmp_path_factory.mktemp("front_page"), header=columns("2021"), share=0.0)


def test_every_page_is_a_stay(out: tuple[Quality, Path]) -> None:
    found = table(out[1], "stays", "stay_id", "patient_id", "admitted_at::VARCHAR", "discharged_at::VARCHAR")
    assert found == [
        ("H32:0001:1", "H32:0001", "2021-03-01 08:30:00", "2021-03-10 14:00:00"),
        ("H32:0001:2", "H32:0001", "2021-03-25 09:00:00", "2021-03-28 10:20:30"),
        ("H32:0002:1", "H32:0002", "2021-04-01 00:00:00", "2021-04-05 10:20:00"),
        ("H32:0002:2", "H32:0002", "2021-04-20 21:05:00", "2021-04-22 03:00:00"),
        ("H32:0003:1", "H32:0003", "2021-05-06 10:00:00", "2021-05-16 10:00:00"),
        ("H32:0004:1", "H32:0004", "2021-06-06 10:00:00", "2021-06-09 10:00:00"),
    ]


def test_the_route_tells_an_emergency_and_of_others_the_condition_the_urgency(
    out: tuple[Quality, Path],
) -> None:
    found = table(
        out[1], "stays", "stay_id", "admission_type", "admission_source", "discharge_disposition",
        "planned_return_31d", "payer",
    )  # fmt: skip
    assert found == [
        ("H32:0001:1", "emergency", None, "home", True, "urban_employee"),
        ("H32:0001:2", "elective", "outpatient", "community", False, "urban_employee"),
        ("H32:0002:1", "emergency", None, "home", False, "self_pay"),
        ("H32:0002:2", "emergency", None, "died", False, None),
        ("H32:0003:1", "unknown", "outpatient", "acute_transfer", None, "77"),  # no condition: unknown
        ("H32:0004:1", "emergency", "other_hospital", "against_advice", None, None),  # critical
    ]


def test_ages_stand_where_there_is_no_birth_date(out: tuple[Quality, Path]) -> None:
    assert table(out[1], "patients", "patient_id", "birth_date::VARCHAR", "sex") == [
        ("H32:0001", "1950-03-04", "female"),
        ("H32:0002", "1948-07-09", "male"),
        ("H32:0003", None, "unknown"),
        ("H32:0004", None, "unknown"),
    ]
    ages = table(out[1], "stays", "stay_id", "age_years")
    assert [age for _, age in ages] == [None, None, None, None, 63, 0]


def test_diagnoses_keep_their_places_and_their_condition_on_admission(out: tuple[Quality, Path]) -> None:
    assert table(out[1], "diagnoses", "stay_id", "kind", "position", "code", "present_on_admission") == [
        ("H32:0001:1", "admitting", 1, "I63900", None),
        ("H32:0001:1", "discharge", 1, "I63900", "Y"),
        ("H32:0001:1", "discharge", 2, "I10X00X002", "Y"),
        ("H32:0001:1", "discharge", 3, "T81400", "N"),
        ("H32:0001:2", "admitting", 1, "I69300", None),
        ("H32:0001:2", "discharge", 1, "I69300", "Y"),
        ("H32:0002:1", "discharge", 1, "I50900X007", "Y"),
        ("H32:0002:2", "discharge", 1, "I50900X007", "Y"),
        ("H32:0003:1", "discharge", 1, "K35900", "W"),
        ("H32:0003:1", "discharge", 41, "E11900", "U"),
        ("H32:0004:1", "discharge", 1, "P22000", "Y"),
    ]


def test_a_procedure_at_midnight_is_known_at_the_end_of_its_day(out: tuple[Quality, Path]) -> None:
    assert table(out[1], "procedures", "stay_id", "position", "code", "performed_at::VARCHAR") == [
        ("H32:0001:1", 1, "389301", "2021-03-02 23:59:59.999999"),
        ("H32:0001:1", 2, "887200X001", "2021-03-03 10:15:00"),
    ]


def test_parts_of_the_costs_are_not_added_twice(out: tuple[Quality, Path]) -> None:
    charges = table(
        out[1], "charges", "stay_id", "incurred_on::VARCHAR", "category", "amount::DOUBLE", "item_code"
    )
    assert charges == [
        ("H32:0001:1", "2021-03-10", "anaesthesia", 1000.0, "D20x01"),
        ("H32:0001:1", "2021-03-10", "antimicrobials", 700.0, "D23x01"),
        ("H32:0001:1", "2021-03-10", "chinese_medicine", 200.0, "D25"),
        ("H32:0001:1", "2021-03-10", "drugs", 2500.0, "D23"),
        ("H32:0001:1", "2021-03-10", "general", 500.0, "D11"),
        ("H32:0001:1", "2021-03-10", "laboratory", 800.0, "D16"),
        ("H32:0001:1", "2021-03-10", "nursing", 300.0, "D13"),
        ("H32:0001:1", "2021-03-10", "other", 1700.0, "D34"),
        ("H32:0001:1", "2021-03-10", "surgery", 3000.0, "D20"),  # 4000 less the anaesthesia
        ("H32:0001:2", "2021-03-28", "treatment", 1200.5, "D19"),  # D19x01 is contained in it
        ("H32:0003:1", "2021-05-16", "anaesthesia", 400.0, "D20x01"),
        ("H32:0003:1", "2021-05-16", "antimicrobials", 150.0, "D23x01"),
        ("H32:0003:1", "2021-05-16", "drugs", 100.0, "D23"),
        ("H32:0003:1", "2021-05-16", "surgery", 2600.0, "D20"),  # no total: the part surgery
    ]
    # 10000 = the categories without the antimicrobials, which are drugs: 10700 - 700.
    assert sum(amount for stay, _, _, amount, _ in charges if stay == "H32:0001:1") == 10_700.0
    assert table(out[1], "stays", "total_cost::DOUBLE", "patient_paid::DOUBLE")[-1] == (10000.0, 3000.0)


def test_facts_are_known_when_the_form_can_say_them(out: tuple[Quality, Path]) -> None:
    assert table(out[1], "facts", "stay_id", "name", "value", "unit", "available_from") == [
        ("H32:0001:1", "main_procedure_level", "2", None, "discharge"),
        ("H32:0001:1", "marital_status", "widowed", None, "admission"),
        ("H32:0001:1", "occupation", "retired", None, "admission"),
        ("H32:0001:2", "ventilator_hours", "12", "h", "discharge"),
    ]


def test_no_name_address_or_document_gets_into_the_data_set(out: tuple[Quality, Path]) -> None:
    assert not (out[1] / "identities").exists()
    for name in ("patients", "stays", "diagnoses", "procedures", "charges", "facts"):
        cells = {str(cell) for row in table(out[1], name) for cell in row}
        assert not cells & {"张三", "320101195003040028", '某省某市，某街"三"号'}


def test_the_report_says_what_was_read_and_what_contradicts(out: tuple[Quality, Path]) -> None:
    assert out[0].rules == ()
    assert [warning for warning in out[0].warnings if "readmission" not in warning] == [
        "Read as layout 2021 (1 of 1 files).",
        "stays: 1 give other days in hospital (B20) than their times of admission and discharge do; the "
        "times are used.",
        "stays: 1 came neither through the emergency department nor say how urgent they were; their "
        "admission type is unknown, or what the option outpatients says.",
        "charges: 1 stays have more antimicrobials (D23x01) than drugs (D23), of which they are a part.",
        "stays: 1 have a value of payer that is not in the list RC032; it stays as it is.",
    ]


def test_the_format_fixes_what_the_owner_need_not_declare(out: tuple[Quality, Path]) -> None:
    told = open_dataset(out[1]).declaration
    assert (told.source, told.currency, told.complete_by) == ("front_page 2021", "CNY", "discharge")
    assert (told.code_systems.diagnosis, told.code_systems.procedure) == ("icd10gb", "icd9cm3")
    assert told.labels.readmission.variant == "front_page"


def test_labels_follow_the_front_page(out: tuple[Quality, Path]) -> None:
    dataset = open_dataset(out[1])
    at_discharge = features_of(dataset, Point.DISCHARGE)["label_readmission"]
    # 0001: the return was planned at discharge and came electively. 0002: back as an emergency after 15 days.
    assert at_discharge.loc["H32:0001:1"] == 0
    assert at_discharge.loc["H32:0002:1"] == 1
    # 0003 was transferred to an acute hospital outside, 0002's second stay ended in death: no index.
    assert not {"H32:0003:1", "H32:0002:2", "H32:0004:1"} & set(at_discharge.dropna().index)
    at_admission = features_of(dataset, Point.ADMISSION)
    # T81.4 was not present on admission (4); 0002's only diagnosis is no complication.
    assert at_admission.loc["H32:0001:1", "label_complication"] == 1
    assert at_admission.loc["H32:0002:1", "label_complication"] == 0
    assert at_admission.loc["H32:0001:1", "marital_status"] == "widowed"
    assert "main_procedure_level" not in at_admission


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_encoding_and_separator_are_told_from_the_file(
    tmp_path: Path, out: tuple[Quality, Path], encoding: str, delimiter: str
) -> None:
    content = wide(PAGES, NARROW, encoding=encoding, delimiter=delimiter)
    ingest("front_page", extract(tmp_path / "in", a__txt=content), tmp_path / "out")
    assert all(
        table(tmp_path / "out", name) == table(out[1], name) for name in ("stays", "diagnoses", "facts")
    )


def test_letter_case_order_and_further_columns_do_not_matter(
    tmp_path: Path, out: tuple[Quality, Path]
) -> None:
    header = ["local_flag", *(name.replace("x", "X") for name in reversed(columns("2021")))]
    packed = gzip.compress(wide(PAGES, header))
    quality = ingest("front_page", extract(tmp_path / "in", a__csv__gz=packed), tmp_path / "out")
    assert all(
        table(tmp_path / "out", name) == table(out[1], name) for name in ("stays", "charges", "procedures")
    )
    assert quality.warnings[0] == (
        "Read as layout 2021 (1 of 1 files). 1 columns that their layouts do not have are left out."
    )


def test_a_folder_may_hold_files_of_several_layouts(tmp_path: Path, out: tuple[Quality, Path]) -> None:
    # What the older layouts cannot say (F01, C47) is only in pages of the newest file.
    old = {"A01": "P900", "A48": "P3", "A49": "P2", "A12C": "P5", "A13": "P6", "A14": "P7", "A46C": "P1",
           "B11C": "P804", "B12": "P22", "B15": "P25", "B20": "P27", "C03C": "P321", "C05C": "P805",
           "B36C": "P830", "B34C": "P741", "D01": "P782"}  # fmt: skip
    oldest = [{old[name]: value for name, value in PAGES[3].items()}]
    source = extract(
        tmp_path / "in",
        y2012__csv=wide(oldest, columns("2012")),
        y2019__csv=wide([PAGES[0], PAGES[2], PAGES[4]], columns("2019")),
        y2021__csv=wide([PAGES[1], PAGES[5]], columns("2021"), encoding="utf-8"),
    )
    quality = ingest("front_page", source, tmp_path / "out")
    assert (
        quality.warnings[0] == "Read as layout 2012 (1 of 3 files), 2019 (1 of 3 files), 2021 (1 of 3 files)."
    )
    names = ("patients", "stays", "diagnoses", "procedures", "charges", "facts")
    assert all(table(tmp_path / "out", name) == table(out[1], name) for name in names)


def test_a_zip_is_read_like_its_files(tmp_path: Path, out: tuple[Quality, Path]) -> None:
    with zipfile.ZipFile(tmp_path / "2021.zip", "w") as archive:
        archive.writestr("2021.csv", wide(PAGES, NARROW))
    (tmp_path / "told.toml").write_text(PERIOD + 'name = "county"\n')
    ingest(
        "front_page", tmp_path / "2021.zip", tmp_path / "out", options={"declaration": tmp_path / "told.toml"}
    )
    assert table(tmp_path / "out", "stays") == table(out[1], "stays")


def test_few_columns_are_enough(tmp_path: Path) -> None:
    header = ["A48", "A49", "A12C", "A14", "B12", "B15", "C03C", "B34C"]
    source = extract(tmp_path / "in", a__csv=wide(PAGES[:2], header))
    ingest("front_page", source, tmp_path / "out", options={"hospital": "H7"})
    assert table(tmp_path / "out", "stays", "stay_id", "hospital_id", "admission_type", "age_years") == [
        ("H7:0001:1", "H7", "unknown", 70),
        ("H7:0001:2", "H7", "unknown", 71),
    ]
    # What the extract does not hold is unknown: no empty tables.
    assert not any((tmp_path / "out" / name).exists() for name in ("procedures", "charges", "facts"))


def test_a_house_may_say_that_its_clinic_admits_by_plan(tmp_path: Path) -> None:
    _, out = read(tmp_path, outpatients="elective")
    assert dict(table(out, "stays", "stay_id", "admission_type"))["H32:0003:1"] == "elective"
    with pytest.raises(TableError, match="outpatients is one of: unknown, elective"):
        read(tmp_path, outpatients="planned")


def test_a_person_is_linked_across_hospitals_only_under_a_key(tmp_path: Path) -> None:
    pages = [
        *PAGES,
        PAGES[0] | {"A01": "H33", "A48": "9", "B12": "2021-09-01", "B15": "2021-09-02", "B20": "1"},
    ]
    source = extract(tmp_path / "in", pages__csv=wide(pages, NARROW))
    with pytest.raises(TableError, match="those of persons, which are not kept"):
        ingest("front_page", source, tmp_path / "out", options={"person_column": "A20"})
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    ingest("front_page", source, tmp_path / "out", options={"person_column": "a20"}, hash_ids=key)
    patients = [patient for (patient,) in table(tmp_path / "out", "stays", "patient_id")]
    # Three stays of one person in two hospitals; 0002 twice and 0003 by their record numbers; the child of
    # 0004, in the file with its mother's document, is a patient of its own.
    assert sorted(patients.count(patient) for patient in set(patients)) == [1, 1, 2, 3]
    assert all(len(patient) == 32 for patient in patients)
    with pytest.raises(TableError, match=r"pages.csv: there is no column EMPI"):
        ingest("front_page", source, tmp_path / "out", options={"person_column": "EMPI"})


def test_a_page_that_is_there_twice_is_read_once(tmp_path: Path, out: tuple[Quality, Path]) -> None:
    source = extract(
        tmp_path / "in",
        march__csv=wide(PAGES[:3], NARROW),
        rest__csv=wide(PAGES[2:], NARROW),
    )
    quality = ingest("front_page", source, tmp_path / "out")
    assert "1 rows repeat another row in everything that is read; each is read once." in quality.warnings
    assert table(tmp_path / "out", "diagnoses") == table(out[1], "diagnoses")


def test_two_pages_of_one_stay_that_differ_are_refused(tmp_path: Path) -> None:
    pages = [*PAGES, PAGES[2] | {"B34C": "2"}]
    with pytest.raises(TableError, match=r"stays: 2 of 7 rows share their key \(stay_id\)"):
        read(tmp_path, pages)


def test_stays_that_disagree_about_their_patient_leave_it_unknown(tmp_path: Path) -> None:
    quality, out = read(tmp_path, changed(1, A12C="1", A13="1950-04-03"))
    assert table(out, "patients", "patient_id", "birth_date", "sex")[0] == ("H32:0001", None, "unknown")
    assert table(out, "stays", "stay_id", "age_years")[:2] == [("H32:0001:1", 70), ("H32:0001:2", 71)]
    assert "patients: 1 have stays that disagree about the sex; it is taken as unknown." in quality.warnings


def test_no_days_of_age_make_no_newborn(tmp_path: Path) -> None:
    # Some hospitals write 0 days for everybody: without an age in years the age is not known.
    quality, _ = read(tmp_path, changed(4, A14="-", A16="0"))
    assert [(rule.table, rule.rule) for rule in quality.rules if rule.table == "stays"] == [
        ("stays", "age_unknown")
    ]


def test_an_age_with_a_unit_is_not_guessed(tmp_path: Path) -> None:
    quality, _ = read(tmp_path, changed(4, A14="63岁"))
    assert [(rule.table, rule.rule, rule.columns) for rule in quality.rules if rule.table == "stays"] == [
        ("stays", "unreadable", ("age_years",))
    ]


@pytest.mark.parametrize(
    ("values", "table_name", "rule", "column"),
    [
        ({"B34C": "6"}, "stays", "not_allowed", "discharge_disposition"),
        ({"B11C": "7"}, "stays", "not_allowed", "admission_type"),
        ({"B36C": "0"}, "stays", "unreadable", "planned_return_31d"),
        ({"B12": "01.03.2021"}, "stays", "unreadable", "admitted_at"),
        ({"B12": "2021-03-11 08:00:00"}, "stays", "discharged_before_admitted", ""),
        ({"B15": "-"}, "stays", "status_contradicts", ""),
        ({"D01": "10,000.00"}, "stays", "unreadable", "total_cost"),
        ({"D11": "500元"}, "charges", "unreadable", "amount"),
        ({"D20": "900"}, "charges", "negative", "amount"),  # less than the anaesthesia that it contains
        ({"D34": "1900"}, "charges", "beyond_total", ""),  # 10200 of 10000
        ({"C08x02C": "9"}, "diagnoses", "not_allowed", "present_on_admission"),
        ({"C06x01C": "BNP040"}, "diagnoses", "code_outside_system", ""),
        ({"C16x01": "昨天"}, "procedures", "unreadable", "performed_at"),
        ({"A12C": "3"}, "patients", "not_allowed", "sex"),
        ({"A13": "1950-02-30"}, "patients", "unreadable", "birth_date"),
    ],
)
def test_what_cannot_be_is_set_aside(
    tmp_path: Path, values: Record, table_name: str, rule: str, column: str
) -> None:
    # A patient's own facts are changed on every page, else they would only disagree.
    whole = table_name == "patients"
    pages = [
        page | values if page["A48"] == "0001" and (whole or page["A49"] == "1") else page for page in PAGES
    ]
    quality, _ = read(tmp_path, pages)
    assert (table_name, rule, (column,) if column else ()) in [
        (found.table, found.rule, found.columns) for found in quality.rules
    ]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (wide(PAGES, columns("2021")).replace(b"0002", b"\xff\xff"), {}, "a.csv is not text in GB18030"),
        (wide(PAGES, columns("2021")), {"encoding": "utf-8"}, "is not text in UTF-8"),
        (wide(PAGES, columns("2021")), {"encoding": "gbx"}, "No encoding has the name given"),
        (wide(PAGES, columns("2021"))[:-400], {}, r"first at line 7"),
        (wide(PAGES, columns("2021")).split(b"\n", 1)[1], {}, "has no header"),
        (wide(PAGES, ["A48", "A49", "C06x01C", "C06X01C"]), {}, "repeats"),
        (
            wide(PAGES, ["A01", "A48", "A49", "B12", "A13", "C03C"]),
            {},
            r"of the layout 2019, .* missing: B15 \(discharged\), A12C \(sex\)\.",
        ),
        (b"stay,age\n1,70\n", {}, "a.csv is no front page: none of its columns"),
        (b"A48,P3\n1,1\n", {}, "fits the layouts 2012, 2019, 2021 equally well"),
        (wide(PAGES, columns("2021")), {"layout": "1999"}, "Choose one of: 2012, 2019, 2021"),
        (wide(PAGES, columns("2021")), {"layout": "2012"}, "is no front page: none"),
        (b"", {}, "is empty"),
    ],
)
def test_a_file_that_is_no_front_page_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, options: dict[str, object], words: str
) -> None:
    with pytest.raises(TableError, match=words):
        ingest("front_page", extract(tmp_path / "in", a__csv=content), tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


def test_the_period_must_be_declared(tmp_path: Path) -> None:
    source = extract(tmp_path / "in", declared="", a__csv=wide(PAGES, NARROW))
    with pytest.raises(TableError, match="observed_from and observed_until are required"):
        ingest("front_page", source, tmp_path / "out")


def test_a_folder_without_a_file_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no text file of front pages there"):
        ingest("front_page", extract(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(TableError, match="Name one that exists"):
        ingest("front_page", tmp_path / "none", tmp_path / "out")


def test_a_code_system_can_be_declared(tmp_path: Path) -> None:
    systems = 'code_systems = { diagnosis = "icd10cn_insurance", procedure = "icd9cm3" }\n'
    source = extract(tmp_path / "in", declared=PERIOD + systems, a__csv=wide(PAGES, NARROW))
    ingest("front_page", source, tmp_path / "out")
    assert open_dataset(tmp_path / "out").declaration.code_systems.diagnosis == "icd10cn_insurance"


def test_layouts_have_the_published_columns() -> None:
    found = {name: columns(name) for name in layouts.layouts()}
    assert {name: len(names) for name, names in found.items()} == {"2012": 346, "2019": 642, "2021": 811}
    # The interface numbers its columns: these are the 211th, 739th, 749th and 778th.
    assert [found["2021"][n - 1] for n in (211, 739, 749, 778)] == ["C09C", "F17", "A16", "B36C"]
    assert set(found["2019"]) < set(found["2021"])
    for name, layout in layouts.layouts().items():
        read_as = [field for field in layout.fields.values() if field]
        assert len(read_as) == len(set(read_as)), name


def test_value_lists_and_charges_become_what_the_tables_allow() -> None:
    lists, stays = layouts.value_lists(), TABLES["stays"].by_name
    assert set(lists["RC019"].values()) <= set(stays["discharge_disposition"].allowed)
    assert set(lists["RC026"].values()) - {"emergency"} <= set(stays["admission_source"].allowed)
    assert set(lists["RC004"].values()) <= set(stays["admission_type"].allowed)
    assert set(lists["RC001"].values()) <= set(TABLES["patients"].by_name["sex"].allowed)
    assert set(lists["RC027"].values()) == set(TABLES["diagnoses"].by_name["present_on_admission"].allowed)
    assert {item.category for item in layouts.charges()} == set(CHARGE_CATEGORIES)


def test_a_wide_file_is_written_in_small_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.delimited._VALUES_PER_GROUP", 15_000)
    pd.DataFrame({"a": range(10_000), "b": 1, "c": 2}).to_csv(tmp_path / "a.csv", index=False)
    with connect(threads=1, memory_limit_mb=700) as data:
        csv_to_parquet(data, tmp_path / "a.csv", tmp_path / "a.parquet")
    # 15,000 values / 3 columns = 5,000 rows, down to 4,096: three groups.
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
