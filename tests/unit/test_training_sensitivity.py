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
from training.report.card import model_card
from training.split import Split
from training.targets import TARGETS
from training.train import Effort, train_model
from training.validation.sensitivity import Subject, asked_earlier, deaths_as_not_readmitted

JUNE = dt.date(2024, 6, 1)


def subject(target: str = "readmission") -> Subject:
    return Subject(fitted("readmission").model, TARGETS[target], Resampling(0, 20))


EACH = 100
"""Admissions of each kind: fewer than 50 rows, or 10 events, would be withheld."""


def at(times: list[str]) -> pd.DataFrame:
    """`EACH` admissions at each of these prediction times, of patients P0-0 … P0-99, P1-0 …; one in five
    is readmitted. Known is that 35 days after the model's landmark, 18 hours later.
    """
    rows = admissions(EACH * len(times))
    landmarks = (pd.to_datetime(times) + pd.Timedelta(hours=18)).normalize()
    return rows.assign(
        row_label_end_on_readmission=np.repeat(landmarks + pd.Timedelta(days=35), EACH),
        prediction_time=np.repeat(pd.to_datetime(times), EACH),
        patient_id=[f"P{place}-{number}" for place in range(len(times)) for number in range(EACH)],
        label_readmission=np.tile([1.0, 0.0, 0.0, 0.0, 0.0], EACH // 5 * len(times)),
    )


def of(place: int) -> pd.Series:
    return pd.Series([f"P{place}-{number}" for number in range(EACH)])


def test_judged_are_the_admissions_of_the_test_period_of_patients_not_learned_from() -> None:
    # Asked 6 h after admission, the model's landmark being 24 h: the landmark lies 18 h later.
    # 31 May 05:59 + 18 h = 31 May 23:59, before the test; 06:00 + 18 h = 1 June, within.
    sooner = at(["2024-05-31 05:59", "2024-05-31 06:00", "2024-06-10 12:00", "2024-06-11 12:00"])
    found = asked_earlier(subject(), sooner, 6.0, of(2), JUNE)
    assert (found["hours_after_admission"], found["n"]) == (6.0, 2 * EACH)
    unlabelled = sooner.assign(
        label_readmission=sooner["label_readmission"].mask(sooner["patient_id"].isin(of(1)))
    )
    assert asked_earlier(subject(), unlabelled, 6.0, of(2), JUNE)["n"] == EACH


def test_days_of_which_only_the_short_stays_have_a_label_yet_are_not_judged() -> None:
    # The landmarks are of 2 March, 11 June and 21 August. Ten of the 100 of March wait 95 days for their
    # label, 5 % of the earlier half, which is both first days: so long each row may wait. The last label
    # known is of 25 September, 35 days after 21 August: 11 June and 95 days lie before it, 21 August and
    # 95 days do not.
    sooner = at(["2024-03-01 12:00", "2024-06-10 12:00", "2024-08-20 12:00"])
    ended = sooner["row_label_end_on_readmission"]
    long = ended.where(np.arange(len(sooner)) >= 10, pd.Timestamp("2024-03-02") + pd.Timedelta(days=95))
    sooner = sooner.assign(row_label_end_on_readmission=long)
    found = asked_earlier(subject(), sooner, 6.0, of(9), JUNE)
    assert (found["n"], found["n_unsettled"]) == (EACH, EACH)
    # Of 5 that were left out the count is not told.
    found = asked_earlier(subject(), sooner.iloc[: 2 * EACH + 5], 6.0, of(9), JUNE)
    assert (found["n"], found["n_unsettled"]) == (EACH, None)


def test_too_few_rows_or_events_are_withheld() -> None:
    sooner = at(["2024-06-10 12:00"])
    assert "missing" not in asked_earlier(subject(), sooner, 6.0, of(9), JUNE)
    # 49 rows, or 9 events: withheld without a count.
    for few in (sooner.iloc[:49], sooner.assign(label_readmission=[1.0] * 9 + [0.0] * 91)):
        found = asked_earlier(subject(), few, 6.0, of(9), JUNE)
        assert set(found) == {"hours_after_admission", "missing"}


def test_deaths_in_the_test_period_count_as_not_readmitted_once_their_window_has_ended() -> None:
    rows = at(["2024-01-01", "2024-06-02", "2024-06-03", "2024-06-04", "2024-06-05", "2024-06-06"])
    # P1 and P2 are the test. P3 died; so did P4, whose window is open, and P5, patients of the training
    # slice; P0 died before the test.
    label_ends = ["2024-02-01", "2024-07-05", "2024-07-05", "2024-07-31", "2024-08-01", "2024-07-06"]
    rows = rows.assign(
        row_died_in_hospital=np.repeat([1, 0, 0, 1, 1, 1], EACH),
        row_label_end_on_readmission=np.repeat(pd.to_datetime(label_ends), EACH),
        label_readmission=rows["label_readmission"].mask(
            np.repeat([True, False, False, True, True, True], EACH)
        ),
    )
    trained_on = rows.iloc[5 * EACH :].assign(prediction_time=pd.Timestamp("2023-01-01"))
    rows = pd.concat([rows, trained_on])
    split = Split(
        pd.factorize(rows["patient_id"])[0].astype(np.intp),
        np.arange(6 * EACH, 7 * EACH),
        np.array([], dtype=np.intp),
        np.arange(EACH, 3 * EACH),
        JUNE,
        {},
    )
    found = deaths_as_not_readmitted(subject(), rows, split, dt.date(2024, 7, 31))
    assert found is not None
    assert (found["n"], found["n_deaths"]) == (3 * EACH, EACH)
    # One in five of P1 and P2, none of P3: 40 of 300, not 40 of 200.
    assert found["metrics"]["prevalence"]["value"] == pytest.approx(40 / 300)
    assert deaths_as_not_readmitted(subject("complication"), rows, split, dt.date(2024, 7, 31)) is None
    few = rows.assign(row_died_in_hospital=rows["row_died_in_hospital"].where(np.arange(len(rows)) < 309, 0))
    assert deaths_as_not_readmitted(subject(), few, split, dt.date(2024, 7, 31)) == {
        "missing": "fewer than 10 deaths"
    }


def test_both_stand_in_the_results_and_on_the_card(tmp_path: Path) -> None:
    rows = admissions(6_000, stays_per_patient=1)
    # At admission the history is not known yet: the model then ranks less well.
    blind = rows.assign(
        prediction_time=rows["prediction_time"] - pd.Timedelta(hours=24), n_stays_prior_365d=np.nan
    )
    (tmp_path / "blind").mkdir()
    sooner = replace(data_set(tmp_path / "blind", blind), settings=FeatureSettings(landmark_hours=0))
    trained = train_model(
        data_set(tmp_path, rows), "readmission", threads=1, effort=Effort(20), earlier=[sooner]
    )
    (asked,) = trained.results["asked_earlier"]
    assert asked["hours_after_admission"] == 0
    assert asked["n"] == trained.results["n"]["test"]
    assert asked["metrics"]["auroc"]["value"] < trained.results["metrics"]["auroc"]["value"] - 0.02
    assert trained.results["deaths_as_not_readmitted"] == {"missing": "fewer than 10 deaths"}
    card = model_card(trained.artefact, trained.results)
    assert "| asked 0 h after admission | " in card
    # What was withheld has no line.
    assert "deaths in hospital counted" not in card
