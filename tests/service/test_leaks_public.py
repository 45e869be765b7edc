"""Leaks are named where they are left in, honest inputs are not: public files and the made-up hospital."""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb
import pytest

from features.build import PatientLevelData, build
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from training.inputs import read_rows
from training.leaks import Leak, find_leaks
from training.targets import TARGETS

PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
EXAMPLES = Path(__file__).parents[2] / "examples"
SUPPORT2, INFARCTIONS = ("support2", "support2_dev.zip"), ("mi_complications", "mi_complications_dev.zip")
MADE_UP = [
    (Point.DISCHARGE, "readmission"),
    *((Point.ADMISSION, name) for name in TARGETS),
    *((Point.PREADMISSION, name) for name in ("readmission", "cost")),
]


def leaks(data: PatientLevelData, target: str, *, seed: int = 0) -> tuple[Leak, ...]:
    known = tuple(feature for feature in data.features if data.point.knows(feature.available_from))
    frame = read_rows(data, TARGETS[target])
    return find_leaks(
        frame, TARGETS[target], known, data.point, has_calendar=data.declaration.has_calendar, seed=seed
    )


def named(found: tuple[Leak, ...]) -> set[tuple[str, str]]:
    return {(leak.feature, leak.check) for leak in found}


def public(name: str) -> Path:
    if not (PUBLIC_DATA / name).is_file():
        pytest.skip(f"needs the public file {name}; set WARDCAST_PUBLIC_DATA to its folder")
    return PUBLIC_DATA / name


def mapped(example: str, file: str, folder: Path, *, left_in: tuple[str, ...] = ()) -> PatientLevelData:
    """A public file as its example maps it, but for columns that are taken for known at admission."""
    text = (EXAMPLES / example / "mapping.toml").read_text("utf-8")
    for column in left_in:
        text, n_taken = re.subn(rf'"{re.escape(column)}"(, )?', "", text)
        assert n_taken == 1, column
    text = re.sub(r"^.* = \[\]\n", "", text.replace(", ]", "]"), flags=re.MULTILINE)
    added = "".join(f'"{column}", ' for column in left_in)
    text = text.replace("[facts_from]\nadmission = [", f"[facts_from]\nadmission = [{added}")
    (folder / "mapping.toml").write_text(text, "utf-8")
    ingest("table", public(file), folder / "data", options={"mapping": folder / "mapping.toml"})
    return build(open_dataset(folder / "data"), Point.ADMISSION, folder / "rows.parquet")


@pytest.mark.parametrize(
    ("example", "file", "target"),
    [(*SUPPORT2, "cost"), (*INFARCTIONS, "complication"), ("sparcs", "sparcs_2016_sample.csv", "cost")],
)
def test_nothing_is_named_in_a_public_file_as_its_example_takes_it(
    tmp_path: Path, example: str, file: str, target: str
) -> None:
    assert leaks(mapped(example, file, tmp_path), target) == ()


@pytest.mark.parametrize("left_in", [("slos", "dnrday"), ("slos",), ("dnrday",)])
def test_the_length_of_the_stay_is_named_when_it_is_left_in(tmp_path: Path, left_in: tuple[str, ...]) -> None:
    found = leaks(mapped(*SUPPORT2, tmp_path, left_in=left_in), "cost")
    assert named(found) == {(name, "alone") for name in left_in}
    # The honest inputs together explain less than half of the logarithm of a cost, each of the two more.
    assert all(0.40 < leak.limit < 0.50 < leak.value < 0.70 for leak in found)


def test_what_came_later_still_is_named_too(tmp_path: Path) -> None:
    found = leaks(mapped(*SUPPORT2, tmp_path, left_in=("charges", "totmcst", "d.time")), "cost")
    # Of the dead in hospital alone the days of follow-up end with the stay.
    assert named(found) == {("charges", "alone"), ("totmcst", "alone"), ("d_time", "after_outcome")}


def test_the_outcome_by_another_name_is_named_when_it_is_left_in(tmp_path: Path) -> None:
    found = leaks(mapped(*INFARCTIONS, tmp_path, left_in=("SUM",)), "complication")
    assert named(found) == {("sum", "alone")}
    # All honest columns together reach 0.77.
    assert found[0].limit < 0.80 < 0.90 < found[0].value


def test_a_file_sorted_by_outcome_is_named_if_nothing_hides_its_order(tmp_path: Path) -> None:
    text = (EXAMPLES / "mi_complications" / "mapping.toml").read_text("utf-8")
    (tmp_path / "mapping.toml").write_text(text.replace('{ column = "ID", hash = true }', '"ID"'), "utf-8")
    file = public("mi_complications_dev.zip")
    ingest("table", file, tmp_path / "data", options={"mapping": tmp_path / "mapping.toml"})
    data = build(open_dataset(tmp_path / "data"), Point.ADMISSION, tmp_path / "rows.parquet")
    assert named(leaks(data, "complication")) == {("row_order", "shuffled_time")}


@pytest.mark.parametrize("point", [Point.DISCHARGE, Point.ADMISSION])
def test_nothing_is_named_in_real_encounters(tmp_path: Path, point: Point) -> None:
    ingest("diabetes130", public("diabetes130_dev.zip"), tmp_path / "data")
    data = build(open_dataset(tmp_path / "data"), point, tmp_path / "rows.parquet")
    assert leaks(data, "readmission") == ()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    out = tmp_path_factory.mktemp("made-up") / "data"
    ingest("synthetic", None, out, options={"admissions": 20_000, "seed": 1})
    return open_dataset(out)


@pytest.mark.parametrize(("point", "target"), MADE_UP)
def test_nothing_is_named_in_the_made_up_hospital(hospital: DataSet, point: Point, target: str) -> None:
    path = hospital.path.parent / f"{point}.parquet"
    assert leaks(build(hospital, point, path), target) == ()


def test_charges_that_carry_the_day_of_admission_are_named(tmp_path: Path) -> None:
    ingest("synthetic", None, tmp_path / "data", options={"admissions": 6_000, "seed": 1})
    rewrite(
        tmp_path / "data",
        "charges",
        "SELECT charges.* REPLACE (admitted_at::DATE AS incurred_on) FROM charges JOIN stays USING (stay_id)",
    )
    data = build(open_dataset(tmp_path / "data"), Point.ADMISSION, tmp_path / "rows.parquet")
    found = leaks(data, "charges")
    assert ("charges_so_far", "alone") in named(found)
    assert all("charges" in leak.feature for leak in found)
    assert "the dates in" in found[0].text


def test_a_supplied_value_from_the_end_of_the_stay_is_named(tmp_path: Path) -> None:
    ingest("synthetic", None, tmp_path / "data", options={"admissions": 6_000, "seed": 1})
    # The nights of the stay in every second stay, by the stay's number; in the others something else.
    plant(
        tmp_path / "data",
        "CASE WHEN hash(stay_id) % 2 = 0 THEN date_diff('day', admitted_at, discharged_at) "
        "ELSE hash(stay_id) % 23 END",
    )
    data = build(open_dataset(tmp_path / "data"), Point.ADMISSION, tmp_path / "rows.parquet")
    assert named(leaks(data, "readmission")) == {("planted", "after_outcome")}


def plant(folder: Path, value: str) -> None:
    """Supply a fact of this value, said to be known at admission."""
    rewrite(
        folder,
        "facts",
        f"SELECT stay_id, 'planted' AS name, CAST({value} AS VARCHAR) AS value, '' AS unit, "
        "'admission' AS available_from FROM stays WHERE discharged_at IS NOT NULL",
    )


def rewrite(folder: Path, table: str, query: str) -> None:
    """Put the rows of a query over the tables of a data set in the place of a table."""
    with duckdb.connect() as con:
        for name in ("stays", "charges"):
            con.execute(f"CREATE TABLE {name} AS FROM '{folder}/{name}/*/*.parquet'")
        target = folder / table / "bucket=0"
        target.mkdir(parents=True, exist_ok=True)
        con.execute(f"COPY ({query}) TO '{target}/data.parquet' (FORMAT parquet)")
