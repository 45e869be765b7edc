"""The made-up hospital group over several seeds: rates, true risks and true costs as promised.

Everything is measured on the labels that the project itself derives from the records.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.build import build
from features.dataset import open_dataset
from features.ingest import ingest
from features.points import Point

pytestmark = pytest.mark.prove

ADMISSIONS = 50_000


@pytest.fixture(scope="module", params=[1, 2, 3])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hospital") / "data"
    ingest("synthetic", None, out, options={"admissions": ADMISSIONS, "seed": request.param})
    return out


@pytest.fixture(scope="module")
def at_discharge(folder: Path) -> pd.DataFrame:
    return _with_truth(folder, Point.DISCHARGE)


@pytest.fixture(scope="module")
def at_admission(folder: Path) -> pd.DataFrame:
    return _with_truth(folder, Point.ADMISSION)


def _with_truth(folder: Path, point: Point) -> pd.DataFrame:
    built = build(open_dataset(folder), point, folder.parent / f"{point}.parquet")
    truth = pd.read_parquet(folder / "truth" / "admissions.parquet")
    return built.read().merge(truth, on="stay_id", how="left", validate="one_to_one")


def _labelled(rows: pd.DataFrame, label: str) -> pd.DataFrame:
    return rows[rows[label].notna()].assign(**{label: lambda found: found[label].astype(float)})


def test_readmission_rate_and_the_truth_s_own_discrimination(at_discharge: pd.DataFrame) -> None:
    rows = _labelled(at_discharge, "label_readmission")
    assert 0.10 <= rows["label_readmission"].mean() <= 0.14
    assert 0.70 <= roc_auc_score(rows["label_readmission"], rows["readmission_probability"]) <= 0.80


def test_simple_scores_see_only_a_part_of_the_risk(at_discharge: pd.DataFrame) -> None:
    rows = _labelled(at_discharge, "label_readmission")
    # With a year of history before each discharge.
    rows = rows[rows["prediction_time"] >= "2022-01-01"]
    actual = rows["label_readmission"]
    lace = roc_auc_score(actual, rows["lace_index"].astype(float).fillna(rows["lace_index"].median()))
    # Published AUROCs of LACE lie between 0.66 and 0.70; ± 0.015 for the chance of 30,000 rows.
    assert 0.645 <= lace <= 0.715
    assert roc_auc_score(actual, rows["n_stays_prior_365d"].astype(float).fillna(0)) <= 0.66
    assert roc_auc_score(actual, rows["readmission_probability"]) >= lace + 0.07


def test_complication_rate_and_the_truth_s_own_discrimination(at_admission: pd.DataFrame) -> None:
    rows = _labelled(at_admission, "label_complication")
    assert 0.04 <= rows["label_complication"].mean() <= 0.08
    assert 0.70 <= roc_auc_score(rows["label_complication"], rows["complication_probability"]) <= 0.80


@pytest.mark.parametrize(
    ("label", "truth"),
    [
        ("label_readmission", "readmission_probability"),
        ("label_complication", "complication_probability"),
    ],
)
def test_outcomes_are_calibrated_to_the_truth(
    label: str, truth: str, at_discharge: pd.DataFrame, at_admission: pd.DataFrame
) -> None:
    rows = _labelled(at_discharge if label == "label_readmission" else at_admission, label)
    fifth = pd.qcut(rows[truth], 5, labels=False)
    for _, part in rows.groupby(fifth):
        risk = part[truth]
        # Outcomes are Bernoulli draws: ± 4 standard deviations, and 2 % for those who leave before 24 h.
        allowed = 4 * np.sqrt((risk * (1 - risk)).sum()) + 0.02 * risk.sum()
        assert abs(part[label].sum() - risk.sum()) < allowed


def test_rates_do_not_drift_over_the_years(at_discharge: pd.DataFrame, at_admission: pd.DataFrame) -> None:
    for rows, label in ((at_discharge, "label_readmission"), (at_admission, "label_complication")):
        known = _labelled(rows, label)
        year = pd.to_datetime(known["prediction_time"]).dt.year
        rates = known.groupby(year)[label].agg(["mean", "size"])
        overall = known[label].mean()
        allowed = 4 * np.sqrt(overall * (1 - overall) / rates["size"])
        assert ((rates["mean"] - overall).abs() < allowed).all()


def test_expected_costs_add_up_to_the_actual_ones(at_admission: pd.DataFrame) -> None:
    rows = _labelled(at_admission, "label_episode_cost")
    assert rows["expected_cost"].sum() / rows["label_episode_cost"].sum() == pytest.approx(1, abs=0.03)


def test_expected_costs_hold_in_every_decile(at_admission: pd.DataFrame) -> None:
    rows = _labelled(at_admission, "label_episode_cost")
    decile = pd.qcut(rows["expected_cost"], 10, labels=False)
    means = rows.groupby(decile)[["expected_cost", "label_episode_cost"]].mean()
    gap = (means["expected_cost"] - means["label_episode_cost"]).abs()
    assert gap.sum() / means["label_episode_cost"].sum() < 0.03


def test_costs_have_a_heavy_tail(at_admission: pd.DataFrame) -> None:
    cost = at_admission["label_index_charges"].dropna().astype(float)
    # An exponential distribution would put its 99.5th percentile at 5.3 times the mean and its mean at
    # 1.44 medians.
    assert cost.quantile(0.995) > 5.3 * cost.mean()
    assert cost.mean() > 1.44 * cost.median()


def test_heart_valve_programme(folder: Path, at_discharge: pd.DataFrame) -> None:
    operated = duckdb.sql(
        f"""SELECT DISTINCT stay_id FROM read_parquet('{folder}/procedures/*/*.parquet')
        WHERE code IN ('3521', '3522', '3523', '3524')"""
    ).df()
    # Of 50,000 admissions in five years 2.5 % = 1,250.
    assert len(operated) == pytest.approx(1_250, rel=0.12)
    rows = _labelled(at_discharge, "label_readmission").merge(operated, on="stay_id")
    # About 12 %: the programme's own 1,100 discharges leave ± 1 %, three times.
    assert rows["label_readmission"].mean() == pytest.approx(0.12, abs=0.03)
    carried = duckdb.sql(
        f"""SELECT stay_id, max(code LIKE 'I48%')::INTEGER AS fibrillation,
        max(code LIKE 'E11%')::INTEGER AS diabetes
        FROM read_parquet('{folder}/diagnoses/*/*.parquet') WHERE kind = 'discharge' GROUP BY stay_id"""
    ).df()
    drivers = rows.merge(carried, on="stay_id")
    for driver in ("fibrillation", "diabetes"):
        with_it, without = (drivers[drivers[driver] == flag] for flag in (1, 0))
        assert with_it["readmission_probability"].mean() > 1.4 * without["readmission_probability"].mean()


def test_respiratory_admissions_peak_in_winter(folder: Path) -> None:
    months = duckdb.sql(
        f"""SELECT month(admitted_at) AS month, avg((admission_department = 'respiratory')::INTEGER) AS share
        FROM read_parquet('{folder}/stays/*/*.parquet')
        WHERE status IN ('in', 'discharged') AND admission_type = 'emergency' GROUP BY 1"""
    ).df()
    share = months.set_index("month")["share"]
    assert share[[12, 1, 2]].mean() > 1.5 * share[[6, 7, 8]].mean()
