"""What may be known when, as properties."""

from __future__ import annotations

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.catalogue import features_at
from features.dataset import CodeSystems
from features.online import OnlineFeatures
from features.points import Point
from features.records import AdmissionRecords
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

START = dt.datetime(2023, 1, 1)
CODES = ("I500", "E112", "J449", "N184", "C341", "Z511", "T814", "I489")


@st.composite
def patients(draw: st.DrawFn) -> dict[str, pd.DataFrame]:
    """Up to three patients with stays, diagnoses, visits and laboratory values over two years."""
    tables: dict[str, list[dict[str, object]]] = {
        "stays": [],
        "diagnoses": [],
        "visits": [],
        "observations": [],
        "procedures": [],
        "charges": [],
        "medications": [],
    }
    for patient in range(draw(st.integers(1, 3))):
        for number in range(draw(st.integers(1, 4))):
            stay = f"S{patient}{number}"
            at = START + dt.timedelta(hours=draw(st.integers(0, 24 * 700)))
            until = at + dt.timedelta(hours=draw(st.integers(1, 24 * 20)))
            tables["stays"].append(
                {
                    "stay_id": stay,
                    "patient_id": f"P{patient}",
                    "admitted_at": at,
                    "discharged_at": until,
                    "hospital_id": draw(st.sampled_from(["H1", "H2"])),
                    "admission_type": draw(st.sampled_from(["emergency", "elective"])),
                    "total_cost": draw(st.decimals(0, 100_000, places=2)),
                    "status": "discharged",
                }
            )
            for position in range(1, draw(st.integers(1, 4))):
                tables["diagnoses"].append(
                    {
                        "stay_id": stay,
                        "kind": "discharge",
                        "position": position,
                        "code": draw(st.sampled_from(CODES)),
                        "present_on_admission": draw(st.sampled_from(["Y", "N"])),
                    }
                )
            tables["diagnoses"].append(
                {
                    "stay_id": stay,
                    "kind": "admitting",
                    "position": 1,
                    "code": draw(st.sampled_from(CODES)),
                    "present_on_admission": None,
                }
            )
            tables["observations"].append(
                {
                    "patient_id": f"P{patient}",
                    "taken_at": at + dt.timedelta(hours=draw(st.integers(0, 60))),
                    "code": "718-7",
                    "value": draw(st.integers(60, 160)) / 10,
                    "unit": "g/dL",
                }
            )
            tables["charges"].append(
                {
                    "stay_id": stay,
                    "incurred_on": (at + dt.timedelta(days=draw(st.integers(0, 3)))).date(),
                    "category": draw(st.sampled_from(["drugs", "surgery", "nursing"])),
                    "amount": draw(st.decimals(0, 9_000, places=2)),
                }
            )
            tables["medications"].append(
                {
                    "patient_id": f"P{patient}",
                    "started_at": at + dt.timedelta(hours=draw(st.integers(-200, 60))),
                    "ended_at": None,
                    "code": draw(st.sampled_from(["B01AA03", "A10AB01", "C09AA05", "C07AB02"])),
                }
            )
        for number in range(draw(st.integers(0, 3))):
            tables["visits"].append(
                {
                    "visit_id": f"V{patient}{number}",
                    "patient_id": f"P{patient}",
                    "visited_at": START + dt.timedelta(hours=draw(st.integers(0, 24 * 700))),
                    "kind": draw(st.sampled_from(["emergency", "outpatient"])),
                    "cost": Decimal("12.50"),
                }
            )
    columns = {
        "visits": ["visit_id", "patient_id", "visited_at", "kind", "cost"],
        "procedures": ["stay_id", "position", "code"],
        "charges": ["stay_id", "incurred_on", "category", "amount"],
        "medications": ["patient_id", "started_at", "ended_at", "code"],
        "diagnoses": ["stay_id", "kind", "position", "code", "present_on_admission"],
    }
    return {
        name: pd.DataFrame(found, columns=columns.get(name), dtype="object") for name, found in tables.items()
    }


def feature_rows(
    tables: dict[str, pd.DataFrame], point: Point, *, buckets: int = 1, shift: dt.timedelta = dt.timedelta()
) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        frame = rows(
            hospital(
                Path(folder),
                buckets=buckets,
                observed_from=str(START.date() + shift),
                observed_until=str(dt.date(2025, 12, 31) + shift),
                **tables,
            ),
            point,
        )
    return frame[["prediction_time", *(feature.name for feature in features_at(point))]]


few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # A build takes half a second: shrinking would take minutes and the first failure says enough.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
@few
@given(tables=patients(), cut_days=st.integers(50, 650))
def test_records_after_the_prediction_time_change_no_feature(
    point: Point, tables: dict[str, pd.DataFrame], cut_days: int
) -> None:
    cut = START + dt.timedelta(days=cut_days)
    stays = tables["stays"]
    known = stays[stays["admitted_at"] <= cut].copy()
    if known.empty:
        return
    open_stays = known["discharged_at"] > cut
    known.loc[open_stays, ["discharged_at", "total_cost"]] = None
    known.loc[open_stays, "status"] = "in"
    coded = tables["diagnoses"]
    ended = set(known.loc[~open_stays, "stay_id"])
    was_known = coded["stay_id"].isin(ended) | (
        coded["stay_id"].isin(known["stay_id"]) & (coded["kind"] == "admitting")
    )
    then = {
        "stays": known,
        "diagnoses": coded[was_known],
        "visits": tables["visits"][tables["visits"]["visited_at"] <= cut],
        "observations": tables["observations"][tables["observations"]["taken_at"] <= cut],
        "procedures": tables["procedures"],
        # A charge without a time of its own is known at the end of its day.
        "charges": tables["charges"][
            tables["charges"]["stay_id"].isin(known["stay_id"])
            & (tables["charges"]["incurred_on"] < cut.date())
        ],
        "medications": tables["medications"][tables["medications"]["started_at"] <= cut],
    }
    early = feature_rows(then, point)
    late = feature_rows(tables, point)
    # A stay that a later one has continued is no row of its own any more at discharge; every row that
    # both extracts have and whose time had come must be the same.
    both = early.index.intersection(late.index)
    both = [stay for stay in both if early.loc[stay, "prediction_time"] <= cut]
    pd.testing.assert_frame_equal(early.loc[both], late.loc[both], check_dtype=False)


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
@few
@given(tables=patients(), seed=st.integers(0, 99), buckets=st.integers(1, 4))
def test_neither_the_order_of_rows_nor_the_number_of_buckets_matters(
    point: Point, tables: dict[str, pd.DataFrame], seed: int, buckets: int
) -> None:
    shuffled = {name: frame.sample(frac=1, random_state=seed) for name, frame in tables.items()}
    pd.testing.assert_frame_equal(
        feature_rows(tables, point), feature_rows(shuffled, point, buckets=buckets), check_dtype=False
    )


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
@few
@given(tables=patients())
def test_rows_of_other_patients_change_nothing(point: Point, tables: dict[str, pd.DataFrame]) -> None:
    """Every row is there twice: once more as that of another patient."""
    twice = {}
    for name, frame in tables.items():
        copy = frame.copy()
        for column in {"patient_id", "stay_id", "visit_id"} & {*frame.columns}:
            copy[column] = "twin of " + copy[column].astype("str")
        twice[name] = pd.concat([frame, copy])
    alone, beside = feature_rows(tables, point), feature_rows(twice, point)
    pd.testing.assert_frame_equal(alone, beside.loc[alone.index], check_dtype=False)


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
@few
@given(tables=patients(), days=st.integers(-9_000, -1), whole_cycles=st.booleans())
def test_moving_the_whole_extract_in_time_changes_calendar_features_alone(
    point: Point, tables: dict[str, pd.DataFrame], days: int, whole_cycles: bool
) -> None:
    # In four years, leap day included, every birthday comes back on its day.
    shift = dt.timedelta(days=-(-days // 1461) * 1461 if whole_cycles else days)
    moved = {}
    for name, frame in tables.items():
        moved[name] = frame.copy()
        for column in frame.columns:
            if column.endswith(("_at", "_on")) and frame[column].notna().any():
                moved[name][column] = [at if at is None else at + shift for at in frame[column]]
    whose = tables["stays"][["patient_id"]].drop_duplicates()
    born_on = dt.date(1950, 5, 17)
    here, there = (
        feature_rows(
            {**extract, "patients": whose.assign(birth_date=born_on + by, sex="female")}, point, shift=by
        )
        for extract, by in ((tables, dt.timedelta()), (moved, shift))
    )
    assert (there["prediction_time"] - here["prediction_time"] == shift).all()
    names = [
        feature.name
        for feature in features_at(point)
        if not feature.calendar and (whole_cycles or feature.name != "age_years")
    ]
    pd.testing.assert_frame_equal(here[names], there[names], check_dtype=False)


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
@few
@given(tables=patients())
def test_online_features_are_the_batch_features_to_the_last_bit(
    point: Point, tables: dict[str, pd.DataFrame]
) -> None:
    batch = feature_rows(tables, point)
    online = OnlineFeatures(CodeSystems(diagnosis="icd10", procedure="icd9cm3"), DEFAULT_SETTINGS)
    admissions = [
        AdmissionRecords(str(stay), point, of_patient(tables, str(stay)), None, START.date())
        for stay in batch.index
    ]
    if not admissions:
        return
    together = online.rows(admissions).features
    alone = pd.concat([online.rows([admission]).features for admission in admissions])
    expected = batch.drop(columns="prediction_time").reset_index(drop=True)
    for got in (together, alone.reset_index(drop=True)):
        pd.testing.assert_frame_equal(got, expected, check_dtype=False, check_exact=True)


def of_patient(tables: dict[str, pd.DataFrame], stay_id: str) -> dict[str, list[dict[str, object]]]:
    """All of a patient's rows, those of the future too."""
    stays = tables["stays"]
    patient = stays.loc[stays["stay_id"] == stay_id, "patient_id"].iloc[0]
    own = set(stays.loc[stays["patient_id"] == patient, "stay_id"])
    found: dict[str, list[dict[str, object]]] = {
        "patients": [{"patient_id": patient, "birth_date": dt.date(1950, 1, 1), "sex": "female"}]
    }
    for name, frame in tables.items():
        mine = frame["patient_id"] == patient if "patient_id" in frame else frame["stay_id"].isin(own)
        found[name] = [
            {
                key: (value.to_pydatetime() if isinstance(value, pd.Timestamp) else value)
                for key, value in row.items()
            }
            for row in frame[mine].to_dict("records")
        ]
    return found
