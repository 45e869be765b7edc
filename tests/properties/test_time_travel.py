"""Time travel: what is built of an extract cut at a time is what the full extract gives as of that time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.build import build, rows_for_scoring
from features.catalogue import features_at
from features.dataset import DataSet, open_dataset, read_declaration
from features.ingest import ingest
from features.outcomes.labels import LABELS
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from features.tables import TABLES

ADMISSIONS = 1_500
END_OF_DAY = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)
# Codes and totals come late: a model's settings say so where the rows do not.
SETTINGS = replace(DEFAULT_SETTINGS, coding_lag_hours=36.0, cost_lag_hours=72.0)
CODING_LAG, COST_LAG = pd.Timedelta(hours=36), pd.Timedelta(hours=72)

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    """A made-up hospital whose codes, charges and results are partly known days after they happened."""
    made = tmp_path_factory.mktemp("made") / "data"
    ingest("synthetic", None, made, options={"admissions": ADMISSIONS, "seed": 5}, buckets=1)
    random = np.random.default_rng(1)
    tables = {
        name: pd.read_parquet(made / name)
        for name in TABLES
        if (made / name).is_dir() and name != "identities"
    }
    tables = {name: frame.drop(columns="bucket", errors="ignore") for name, frame in tables.items()}
    stays = tables["stays"].set_index("stay_id")
    # Half of the stays are coded all at once, up to three weeks after the discharge.
    late = pd.Series(random.integers(0, 21 * 24, len(stays)), index=stays.index)
    coded_at = (stays["discharged_at"] + pd.to_timedelta(late, unit="h")).where(
        random.random(len(stays)) < 0.5
    )
    for name in ("diagnoses", "procedures"):
        is_final = tables[name].get("kind", pd.Series("discharge", tables[name].index)) == "discharge"
        tables[name]["known_at"] = tables[name]["stay_id"].map(coded_at).where(is_final)
    for name, happened_at in (
        ("observations", "taken_at"),
        ("charges", "incurred_on"),
        ("medications", "started_at"),
    ):
        if name in tables:
            n = len(tables[name])
            delay = pd.to_timedelta(random.integers(0, 72, n), unit="h")
            known_at = pd.to_datetime(tables[name][happened_at]) + END_OF_DAY + delay
            tables[name]["known_at"] = known_at.where(random.random(n) < 0.3)
    return made, tables


def cut_at(tables: Tables, time: pd.Timestamp) -> Tables:
    """The extract that the hospital would have given at a time: nothing that was not known then."""
    stays = tables["stays"]
    booked_at, came_at = stays["booked_at"], stays["admitted_at"]
    stays = stays[(came_at <= time) | (booked_at <= time)].copy()
    is_ahead = stays["admitted_at"] > time
    stays.loc[is_ahead, ["admitted_at"]] = pd.NaT
    stays.loc[is_ahead & (stays["status"] != "cancelled"), "status"] = "booked"
    is_open = (stays["discharged_at"] > time) | is_ahead
    stays.loc[is_open & ~is_ahead, "status"] = "in"
    of_the_end = [
        "discharged_at",
        "discharge_department",
        "discharge_disposition",
        "planned_return_31d",
        "payment_group",
    ]
    for column in of_the_end:
        stays[column] = stays[column].mask(is_open)
    is_billed = stays["discharged_at"] + COST_LAG <= time
    for column in ("total_cost", "patient_paid"):
        stays[column] = stays[column].where(is_billed)
    patients = tables["patients"].copy()
    patients["death_date"] = patients["death_date"].where(pd.to_datetime(patients["death_date"]) <= time)
    then = {"stays": stays, "patients": patients}
    whole = tables["stays"].set_index("stay_id")
    for name, frame in tables.items():
        if name not in then:
            known_at = _known_at(name, frame, whole)
            then[name] = frame[
                (known_at <= time) if known_at is not None else frame.index == frame.index
            ].copy()
    procedures = then["procedures"]
    procedures["performed_at"] = procedures["performed_at"].where(procedures["performed_at"] <= time)
    if "medications" in then:
        ends = then["medications"]["ended_at"]
        then["medications"]["ended_at"] = ends.where(ends <= time)
    return then


def _known_at(name: str, frame: pd.DataFrame, stays: pd.DataFrame) -> pd.Series | None:
    """When each row was known: its own time, or else what the definitions say."""
    if name in ("diagnoses", "procedures"):
        booked_at, came_at, left_at = (
            frame["stay_id"].map(stays[column]) for column in ("booked_at", "admitted_at", "discharged_at")
        )
        first = pd.concat([booked_at, came_at], axis=1).min(axis=1)
        if name == "diagnoses":
            return frame["known_at"].fillna(first.where(frame["kind"] == "admitting", left_at + CODING_LAG))
        done = pd.concat([frame["performed_at"], left_at], axis=1).min(axis=1) + CODING_LAG
        booked = booked_at.fillna(came_at)
        elective = frame["stay_id"].map(stays["admission_type"]) == "elective"
        is_planned = frame["is_planned"].fillna(False).astype(bool) & (booked_at.notna() | elective)
        return frame["known_at"].fillna(booked.where(is_planned, done))
    happened_at = {
        "observations": "taken_at",
        "charges": "incurred_on",
        "medications": "started_at",
        "visits": "visited_at",
    }
    if name not in happened_at:
        return None
    at = pd.to_datetime(frame[happened_at[name]])
    at = at + END_OF_DAY if name == "charges" else at
    if "known_at" not in frame:
        return at
    return pd.concat([at, frame["known_at"]], axis=1).max(axis=1)


def _ingested(folder: Path, tables: Mapping[str, pd.DataFrame], made: Path, until: dt.date) -> DataSet:
    extract = folder / "extract"
    extract.mkdir(parents=True)
    for name, frame in tables.items():
        frame.to_parquet(extract / f"{name}.parquet", index=False)
    declaration = read_declaration(made).model_copy(update={"observed_until": until, "source": "canonical"})
    (extract / "dataset.toml").write_text(declaration.to_toml(), "utf-8")
    ingest("canonical", extract, folder / "data", buckets=1)
    return open_dataset(folder / "data")


@pytest.mark.parametrize("share", [0.35, 0.62, 0.87])
def test_the_extract_cut_at_a_time_gives_what_the_full_one_gives_as_of_then(
    full: tuple[Path, Tables], tmp_path: Path, share: float
) -> None:
    made, tables = full
    declaration = read_declaration(made)
    assert declaration.observed_from is not None
    assert declaration.observed_until is not None
    length = declaration.observed_until - declaration.observed_from
    until = declaration.observed_from + length * share
    time = pd.Timestamp(until) + END_OF_DAY
    later = _ingested(tmp_path / "later", tables, made, declaration.observed_until)
    then = _ingested(tmp_path / "then", cut_at(tables, time), made, until)
    for point in Point:
        full_rows, cut_rows = _rows(later, point), _rows(then, point)
        full_rows = full_rows[full_rows["prediction_time"] <= time]
        # As of then a stay may have been a row that later codes took out; never the other way.
        assert set(full_rows.index) <= set(cut_rows.index), point
        assert len(full_rows) > 20
        pd.testing.assert_frame_equal(cut_rows.loc[full_rows.index], full_rows, check_dtype=False)
        full_labels, cut_labels = _labels(later, point), _labels(then, point)
        both = full_labels.index.intersection(cut_labels.index)
        full_labels, cut_labels = full_labels.loc[both], cut_labels.loc[both]
        # A label that was known then stays what it was.
        was_known = cut_labels.notna() & full_labels.notna()
        assert was_known["label_stay_days"].sum() > 20
        pd.testing.assert_frame_equal(cut_labels.where(was_known), full_labels.where(was_known))


def _rows(dataset: DataSet, point: Point) -> pd.DataFrame:
    """The features of everyone to be scored, booked patients included."""
    names = ["prediction_time", *(feature.name for feature in features_at(point))]
    frames = [frame for _, frame in rows_for_scoring(dataset, point, settings=SETTINGS)]
    return pd.concat(frames).set_index("stay_id")[names]


def _labels(dataset: DataSet, point: Point) -> pd.DataFrame:
    rows = build(dataset, point, dataset.path / f"{point}.parquet", settings=SETTINGS).read()
    return rows.set_index("stay_id")[list(LABELS)].astype("float64")
