"""A model asked before its landmark, or with deaths counted in: which rows are judged, and as what."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from features.settings import FeatureSettings
from tests.admission_rows import admissions, data_set, fitted
from training.card import model_card
from training.sensitivity import Subject, asked_earlier, deaths_as_not_readmitted
from training.split import Split
from training.targets import TARGETS
from training.train import train_model

JUNE = dt.date(2024, 6, 1)


def subject(target: str = "readmission") -> Subject:
    return Subject(fitted("readmission").model, TARGETS[target], Resampling(0, 20))


def at(times: list[str]) -> pd.DataFrame:
    """One admission each, of patients P0, P1, …, with these prediction times."""
    rows = admissions(len(times))
    return rows.assign(
        prediction_time=pd.to_datetime(times), patient_id=[f"P{place}" for place in range(len(times))]
    )


def test_judged_are_the_admissions_of_the_test_period_of_patients_not_learned_from() -> None:
    # Asked 6 h after admission, the model's landmark being 24 h: the landmark lies 18 h later.
    # 31 May 05:59 + 18 h = 31 May 23:59, before the test; 06:00 + 18 h = 1 June, within.
    sooner = at(["2024-05-31 05:59", "2024-05-31 06:00", "2024-06-10 12:00", "2024-06-11 12:00"])
    found = asked_earlier(subject(), sooner, 6.0, pd.Series(["P2", "P9"]), JUNE)
    assert (found["hours_after_admission"], found["n"]) == (6.0, 2)
    unlabelled = sooner.assign(label_readmission=[1.0, np.nan, 1.0, 0.0])
    assert asked_earlier(subject(), unlabelled, 6.0, pd.Series(["P2"]), JUNE)["n"] == 1
    nobody = asked_earlier(subject(), sooner, 6.0, pd.Series(["P0"]), dt.date(2025, 1, 1))
    assert (nobody["n"], nobody["metrics"]) == (0, {})


def test_deaths_in_the_test_period_count_as_not_readmitted_once_their_window_has_ended() -> None:
    rows = at(["2024-01-01", "2024-06-02", "2024-06-03", "2024-06-04", "2024-06-05", "2024-06-06"])
    rows = rows.assign(
        # P1 and P2 are the test. P3 died; so did P4, whose window is open, and P5, a patient of the
        # training slice; P0 died before the test.
        label_readmission=[np.nan, 1.0, 0.0, np.nan, np.nan, np.nan],
        row_died_in_hospital=[1, 0, 0, 1, 1, 1],
        row_label_end_on_readmission=pd.to_datetime(
            ["2024-02-01", "2024-07-05", "2024-07-05", "2024-07-31", "2024-08-01", "2024-07-06"]
        ),
    )
    rows = pd.concat([rows, rows.iloc[[5]].assign(prediction_time=pd.Timestamp("2023-01-01"))])
    split = Split(
        pd.factorize(rows["patient_id"])[0].astype(np.intp),
        np.array([6]),
        np.array([], dtype=np.intp),
        np.array([1, 2]),
        JUNE,
        {},
    )
    found = deaths_as_not_readmitted(subject(), rows, split, dt.date(2024, 7, 31))
    assert found is not None
    assert (found["n"], found["n_deaths"]) == (3, 1)
    # One event among P1, P2 and P3: 1 of 3, not 1 of 2.
    assert found["metrics"]["prevalence"]["value"] == pytest.approx(1 / 3)
    assert deaths_as_not_readmitted(subject("complication"), rows, split, dt.date(2024, 7, 31)) is None


def test_both_stand_in_the_results_and_on_the_card(tmp_path: Path) -> None:
    rows = admissions(6_000, stays_per_patient=1)
    # At admission the history is not known yet: the model then ranks less well.
    blind = rows.assign(
        prediction_time=rows["prediction_time"] - pd.Timedelta(hours=24), n_stays_prior_365d=np.nan
    )
    (tmp_path / "blind").mkdir()
    sooner = replace(data_set(tmp_path / "blind", blind), settings=FeatureSettings(landmark_hours=0))
    trained = train_model(data_set(tmp_path, rows), "readmission", threads=1, replicates=20, earlier=[sooner])
    (asked,) = trained.results["asked_earlier"]
    assert asked["hours_after_admission"] == 0
    assert asked["n"] == trained.results["n"]["test"]
    assert asked["metrics"]["auroc"]["value"] < trained.results["metrics"]["auroc"]["value"] - 0.02
    # Without any death the figures are those of the test itself.
    unchanged = trained.results["deaths_as_not_readmitted"]
    assert unchanged["metrics"]["auroc"] == trained.results["metrics"]["auroc"]
    card = model_card(trained.artefact, trained.results)
    assert "| asked 0 h after admission | " in card
    assert "| 0 deaths in hospital counted as not readmitted | " in card
