"""A proposed mapping file: valid as it stands, careful, and without a rare value of a patient's."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from features.ingest import ingest
from features.sources.describe import describe
from features.sources.table_mapping import parse_mapping
from features.tables import TableError

PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")

HEADER = (
    "case_no;patient_id;Sex;Birth date;Admitted;Discharged;Type;Diag1;Diag2;Sodium;Total Costs;"
    "Length of stay;died;Phone;Mood;Rare;Race;2nd look;Total Charges"
)


def _row(number: int) -> str:
    """Forty stays of twenty patients; one mood is rare, and so is every value of `Rare`."""
    return (
        f"{1000 + number};{number // 2};{'FM'[number // 2 % 2]};{1 + number // 2:02}.03.1950;"
        f"{1 + number % 28:02}.05.2020 10:30;{1 + number % 28:02}.06.2020 09:00;"
        f"ward;{('I50.0', 'E11.9', 'J18.9')[number % 3]};{'N39.0' if number % 2 else ''};{130 + number % 11};"
        f"{number + 1},{100 + number}.5;{number % 9};{int(number == 3)};{600000 + number};"
        f"{'furious' if number == 5 else 'calm' if number % 2 else 'low'};{'abcdefghij'[number % 10]};"
        f"{'ab'[number % 2]};{number % 3};{number + 2},000"
    )


@pytest.fixture
def proposed(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    file = tmp_path / "cases.csv"
    file.write_text("\n".join([HEADER, *map(_row, range(40))]) + "\n", "utf-8")
    text = describe(file)
    return text, tomllib.loads(text)


def test_the_proposal_is_valid_as_it_stands_and_can_be_ingested(
    tmp_path: Path, proposed: tuple[str, dict[str, Any]]
) -> None:
    parse_mapping(proposed[0], "proposal")
    (tmp_path / "cases.csv.toml").write_text(proposed[0], "utf-8")
    quality = ingest("table", tmp_path / "cases.csv", tmp_path / "out")
    assert quality.rules == ()
    assert quality.counts["stays"].n_out == 40
    assert quality.counts["patients"].n_out == 20


def test_ids_dates_money_and_codes_are_told_by_name_and_content(
    proposed: tuple[str, dict[str, Any]],
) -> None:
    found = proposed[1]
    assert found["file"] == {"delimiter": ";", "encoding": "utf-8", "empty": [""]}
    assert found["patients"]["patient_id"] == "patient_id"
    assert found["patients"]["birth_date"] == {"column": "Birth date", "format": "%d.%m.%Y"}
    assert found["patients"]["sex"]["map"] == {"F": "female", "M": "male"}
    assert found["stays"]["stay_id"] == "case_no"
    assert found["stays"]["admitted_at"] == {"column": "Admitted", "format": "%d.%m.%Y %H:%M"}
    assert found["stays"]["discharged_at"]["column"] == "Discharged"
    assert found["stays"]["total_cost"] == {"column": "Total Costs", "thousands": ","}
    assert found["diagnoses"] == [{"columns": ["Diag1", "Diag2"], "kind": "discharge"}]
    assert found["dataset"]["code_systems"] == {"diagnosis": "icd10"}


def test_nothing_is_proposed_as_known_before_the_discharge_nor_an_outcome(
    proposed: tuple[str, dict[str, Any]],
) -> None:
    found = proposed[1]
    assert found["facts_from"]["preadmission"] == found["facts_from"]["admission"] == []
    assert {fact["available_from"] for fact in found["facts"]} == {"discharge"}
    inputs = {*found["facts_from"]["discharge"], *(fact["column"] for fact in found["facts"])}
    assert {"Sodium", "Mood", "Rare", "2nd look"} == inputs
    assert "outcomes" not in found
    assert '# died_in_hospital = { column = "died" }' in proposed[0]


def test_columns_that_may_tell_the_outcome_are_listed(proposed: tuple[str, dict[str, Any]]) -> None:
    lines = proposed[0].split("# The columns:")[0].splitlines()
    assert {line for line in lines if line.startswith("#   ")} == {
        '#   "Discharged": known at the end',
        '#   "Total Costs": money of the stay',
        '#   "Length of stay": length of stay',
        '#   "died": death',
        '#   "Total Charges": money of the stay',
    }


def test_the_human_decides_what_cannot_be_known(proposed: tuple[str, dict[str, Any]]) -> None:
    for setting in ("currency", "cost_basis", "time_zone", "timeline", "complete_by", "deaths"):
        line = next(line for line in proposed[0].splitlines() if line.startswith(f"{setting} = "))
        assert "# TODO" in line


def test_no_value_of_fewer_than_ten_rows_is_shown(proposed: tuple[str, dict[str, Any]]) -> None:
    text = proposed[0]
    # Moods: low 20, calm 19, furious 1. Rare: ten values of four rows each. Phones: forty of one.
    assert '"Mood": text, 0.0% missing, 3 different values: "low" 20, "calm" 19, and 1 rarer' in text
    assert "furious" not in text
    assert '"Rare": text, 0.0% missing, 10 different values\n' in text
    assert "6000" not in text
    assert "1950" not in text
    assert "1,100" not in text


def test_the_names_of_persons_are_not_shown_however_their_column_is_spelled(tmp_path: Path) -> None:
    file = tmp_path / "wards.csv"
    rows = [f"{number},{('Meier', 'Huber')[number % 2]},{('3A', '3B')[number % 2]}" for number in range(40)]
    file.write_text("\n".join(["id,DoctorName,Ward", *rows]) + "\n")
    text = describe(file)
    assert "3A" in text  # 20 rows of each
    assert "Meier" not in text
    assert '#   "DoctorName": says who somebody is' in text


def described(folder: Path, header: str, rows: list[str]) -> tuple[str, dict[str, Any]]:
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    text = describe(folder / "t.csv")
    parse_mapping(text, "proposal")
    return text, tomllib.loads(text)


def test_numbers_of_patients_and_unknown_codes_are_no_diagnoses(tmp_path: Path) -> None:
    # Thirty numbers of two rows each: P00 is a category of ICD-10. U84 to U93 have none in the code set.
    rows = [
        f"P{123 + n // 2:05},{('I50.0', 'E11.9', 'J18.9')[n % 3]},U{84 + n % 10}.{n % 9}" for n in range(60)
    ]
    text, found = described(tmp_path, "Kennung,Erste,Gruppe", rows)
    assert "diagnoses" not in found  # by their content alone three codes may be wards
    text, found = described(tmp_path, "dx_a,diag1,diag2", rows)
    assert found["diagnoses"] == [{"columns": ["diag1"], "kind": "discharge"}]
    assert '#   "dx_a": may be an id' in text


def test_german_names_and_numbers_with_decimal_commas_are_understood(tmp_path: Path) -> None:
    header = "Patientennummer;Aufnahmedatum;Entlassungsdatum;Geburtsdatum;Geschlecht;Fachabteilung;"
    header += "Nebendiagnose 1;Hauptdiagnose;Gesamtkosten;Kostenträger;Natrium;Nachname;Verweildauer;Termin"
    rows = [
        f"P{123 + n // 2:05};{1 + n % 28:02}.05.2020 10:30;{1 + n % 28:02}.06.2020 09:00;"
        f"{1 + n // 2:02}.03.1950;{('männlich', 'weiblich')[n // 2 % 2]};{('Innere', 'Chirurgie')[n % 2]};"
        f"{('N39.0', 'E87.6')[n % 2]};{('I50.0', 'E11.9', 'J18.9')[n % 3]};{n + 1}.{100 + n},50;AOK;"
        f"{130 + n % 11},4;{('Meier', 'Huber')[n % 2]};{n % 9};{n % 28 + 1:02}.0{n // 28 + 1}.2021"
        for n in range(40)
    ]
    text, found = described(tmp_path, header, rows)
    assert found["patients"] == {
        "patient_id": "Patientennummer",
        "birth_date": {"column": "Geburtsdatum", "format": "%d.%m.%Y"},
        "sex": {
            "column": "Geschlecht",
            "map": {"männlich": "male", "weiblich": "female"},
            "missing": "unknown",
        },
    }
    assert found["stays"]["admitted_at"] == {"column": "Aufnahmedatum", "format": "%d.%m.%Y %H:%M"}
    assert found["stays"]["discharged_at"]["column"] == "Entlassungsdatum"
    assert found["stays"]["admission_department"] == "Fachabteilung"
    assert found["stays"]["payer"] == "Kostenträger"
    # 40.139,50 is forty thousand and a half.
    assert found["stays"]["total_cost"] == {"column": "Gesamtkosten", "thousands": ".", "decimal": ","}
    assert found["diagnoses"] == [{"columns": ["Hauptdiagnose", "Nebendiagnose 1"], "kind": "discharge"}]
    assert [{key: fact[key] for key in ("column", "decimal")} for fact in found["facts"]] == [
        {"column": "Natrium", "decimal": ","}
    ]
    assert "Meier" not in text
    assert '#   "Verweildauer": may be length of stay' in text
    assert '#   "Termin": a date' in text  # every one different


def test_chinese_names_are_understood(tmp_path: Path) -> None:
    header = "病案号,住院号,姓名,性别,年龄,入院时间,出院时间,主要诊断编码,其他诊断编码1,手术编码,科室,"
    header += "总费用,付费方式,离院方式"
    rows = [
        f"{1000 + n // 2},{5000 + n},{('王', '李')[n % 2]},{'男女'[n // 2 % 2]},{50 + n // 2},"
        f"2020-05-{1 + n % 28:02} 10:30,2020-06-{1 + n % 28:02} 09:00,{('I10.x00', 'E11.900')[n % 2]},"
        f"{('N39.000', 'J18.900')[n % 2]},{('36.0601', '')[n % 2]},内科,{1000 + n}.50,医保,"
        f"{('医嘱离院', '死亡')[n % 2]}"
        for n in range(40)
    ]
    text, found = described(tmp_path, header, rows)
    assert found["patients"]["patient_id"] == "病案号"
    assert found["patients"]["sex"]["map"] == {"男": "male", "女": "female"}
    assert found["stays"] == {
        "stay_id": "住院号",
        "admitted_at": {"column": "入院时间", "format": "%Y-%m-%d %H:%M"},
        "discharged_at": {"column": "出院时间", "format": "%Y-%m-%d %H:%M"},
        "admission_department": "科室",
        "payer": "付费方式",
        "discharge_disposition": {"column": "离院方式", "map": {"医嘱离院": "home", "死亡": "died"}},
        "total_cost": "总费用",
        "age_years": {"column": "年龄", "floor": True},
    }
    assert found["diagnoses"] == [{"columns": ["主要诊断编码", "其他诊断编码1"], "kind": "discharge"}]
    assert '# columns = ["手术编码"]' in text
    assert "王" not in text


def test_a_readmission_is_proposed_with_the_two_lines_that_make_it_count(tmp_path: Path) -> None:
    text, _ = described(tmp_path, "id,readmitted", [f"{n},{n % 2}" for n in range(40)])
    todo = [line.removeprefix("# ") for line in text.split("# [outcomes]")[1].splitlines()]
    settings = [line for line in todo if line.startswith(("[", "readmission = "))]
    assert tomllib.loads("\n".join(["[outcomes]", *settings])) == {
        "outcomes": {"readmission": {"column": "readmitted"}},
        "dataset": {"labels": {"readmission": {"kind": "given", "definition": "…"}}},
    }


def test_a_proposal_without_an_age_says_that_one_is_needed(tmp_path: Path) -> None:
    text, _ = described(tmp_path, "id,mood", [f"{n},{'ab'[n % 2]}" for n in range(40)])
    assert "# TODO age_years = { column = ..., floor = true }, or birth_date under [patients]" in text


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("姓别,年龄\n男,50\n".encode("gb18030"), "gb18030"),
        ("Größe,Alter\nschön,50\n".encode("latin-1"), "cp1252"),
        ("Größe,Kosten\nschön,50 €\n".encode("cp1252"), "cp1252"),
        ("Größe,Alter\nschön\x81,50\n".encode("latin-1"), "latin-1"),
        ("Größe,Alter\nschön,50\n".encode(), "utf-8"),
    ],
)
def test_the_encoding_is_told_by_the_bytes(tmp_path: Path, content: bytes, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    text = describe(tmp_path / "t.csv")
    assert tomllib.loads(text)["file"]["encoding"] == encoding
    parse_mapping(text, "proposal")


def test_signs_of_emptiness_are_found(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\n1\tNA\n2\t?\n3\tx\n")
    assert tomllib.loads(describe(tmp_path / "t.tsv"))["file"]["empty"] == ["?", "NA"]


def test_a_file_without_a_header_is_refused_without_its_values(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("4711,1950-02-03,F\n4712,1951-02-03,M\n")
    with pytest.raises(TableError, match="seems to have no header") as error:
        describe(tmp_path / "t.csv")
    assert "4711" not in str(error.value)


def test_names_of_columns_cannot_leave_their_line(tmp_path: Path) -> None:
    evil = 'x\n[file]\nmood = "y"'
    quoted = evil.replace('"', '""')
    rows = "".join(f"{number % 2},{number}\n" for number in range(40))
    (tmp_path / "t.csv").write_text(f'"{quoted}","died\n[stays]"\n{rows}')
    found = tomllib.loads(describe(tmp_path / "t.csv"))
    assert "mood" not in found["file"]
    assert [fact["column"] for fact in found.get("facts", [])] + found.get("facts_from", {}).get(
        "discharge", []
    ) == [evil]


def test_days_and_months_that_cannot_be_told_apart_are_left_to_the_human(tmp_path: Path) -> None:
    rows = "".join(f"0{1 + n % 9}/0{1 + n % 7}/2020\n" for n in range(30))
    (tmp_path / "t.csv").write_text("admission_date\n" + rows)
    line = next(line for line in describe(tmp_path / "t.csv").splitlines() if line.startswith("admitted_at"))
    assert line == 'admitted_at = { column = "admission_date", format = "%d/%m/%Y" }  # TODO or %m/%d/%Y?'


@pytest.mark.parametrize(
    "file", ["support2_dev.zip", "mi_complications_dev.zip", "sparcs_2016_sample.csv", "diabetes130_dev.zip"]
)
def test_public_files_are_described_by_a_valid_mapping(file: str) -> None:
    if not (PUBLIC_DATA / file).is_file():
        pytest.skip(f"the public file {file} is not in the public data folder")
    parse_mapping(describe(PUBLIC_DATA / file), file)
