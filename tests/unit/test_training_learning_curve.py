"""More patients to learn from make a better model, and a model looks best on what it has learned from."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import training.validation.learning_curve
from evaluation.bootstrap import Resampling
from evaluation.discrimination import auroc
from tests.admission_rows import TRAINING, admissions, recipe
from training.fit import fit_model
from training.split import sample_of, split_by_patient, split_by_time
from training.targets import TARGETS
from training.validation.cross_validate import judge
from training.validation.learning_curve import learning_curve, optimism

ROWS = admissions(8000, stays_per_patient=1)
FEW = Resampling(0, 20)
READMISSION, COST = TARGETS["readmission"], TARGETS["cost"]


@pytest.mark.parametrize(("target", "metric"), [("readmission", "auroc"), ("cost", "d2")])
def test_growing_shares_of_the_patients_are_judged_on_the_same_rows(target: str, metric: str) -> None:
    split = split_by_time(ROWS, TARGETS[target])
    curve = learning_curve(ROWS, recipe(target), split, FEW)
    assert [point["metric"] for point in curve] == [metric] * 4
    sizes = [point["n_rows"] / len(split.training) for point in curve]
    assert sizes == pytest.approx([0.125, 0.25, 0.5, 1], abs=0.02)
    assert curve[-1]["n_patients"] == ROWS["patient_id"].iloc[split.training].nunique()
    for point in curve:
        assert set(point) == {"n_rows", "n_patients", "metric", "value", "low", "high"}
        assert point["low"] < point["value"] < point["high"]
    json.dumps(curve, allow_nan=False)


def test_the_last_point_is_the_model_itself() -> None:
    split = split_by_time(ROWS, READMISSION)
    curve = learning_curve(ROWS, recipe("readmission"), split, FEW)
    model = fit_model(ROWS, recipe("readmission"), split.training, split.calibration).model
    test = ROWS.iloc[split.test]
    value = model.predict(test, contributions=False).value
    assert curve[-1]["value"] == pytest.approx(auroc(test["label_readmission"], value))


def test_each_share_holds_the_one_before_and_whole_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fit(*given: object) -> object:
        seen.append(given[2])
        return fit_model(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("training.validation.learning_curve.fit_model", fit)
    split = split_by_time(ROWS, COST)
    learning_curve(ROWS, recipe("cost"), split, FEW)
    for smaller, larger in itertools.pairwise(seen):
        assert set(smaller) < set(larger)
        others = ROWS["patient_id"].iloc[np.setdiff1d(split.training, smaller)]
        assert not ROWS["patient_id"].iloc[smaller].isin(others).any()


def test_a_share_that_is_too_small_to_learn_from_is_left_out() -> None:
    rows = ROWS.iloc[::8].reset_index(drop=True)
    # 1,000 rows: 650 before the calibration less those with an open window. A quarter is fewer than 200.
    curve = learning_curve(rows, recipe("cost"), split_by_time(rows, COST), FEW)
    assert len(curve) == 2
    assert curve[0]["n_rows"] > 200


def test_of_many_rows_the_curve_ends_at_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.validation.learning_curve, "MOST_ROWS", 2000)
    curve = learning_curve(ROWS, recipe("cost"), split_by_time(ROWS, COST), FEW)
    assert curve[-1]["n_rows"] == pytest.approx(2000, rel=0.08)


def test_without_a_calendar_a_fold_of_patients_is_judged() -> None:
    rows = admissions(4000, has_dates=False)
    made_by = replace(recipe("cost"), training=replace(TRAINING, timeline="none"))
    curve = learning_curve(rows, made_by, split_by_patient(rows, COST, seed=0), FEW)
    # A fifth is judged, and of the others 15 % calibrate: 68 % of 4,000.
    assert curve[-1]["n_rows"] == pytest.approx(2720, rel=0.05)


def test_too_few_judged_rows_tell_nothing() -> None:
    rows = ROWS.iloc[::50].reset_index(drop=True)
    assert learning_curve(rows, recipe("cost"), split_by_time(rows, COST), FEW) == []


def of_steps(rows: pd.DataFrame, target: str) -> list[dict[str, object]]:
    split = split_by_time(rows, TARGETS[target])
    fitted = fit_model(rows, recipe(target), split.training, split.calibration)
    return optimism(
        rows, recipe(target), fitted, split, judge(rows, recipe(target), fitted, split, split.test)
    )


def test_a_model_looks_best_on_the_rows_that_it_grew_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Trees are not grown again here, so that the stopping rows are a step of their own.
    monkeypatch.setattr("training.fit.MOST_REGROWN_ROWS", 1000)
    monkeypatch.setattr(training.validation.learning_curve, "MOST_REGROWN_ROWS", 1000)
    steps = of_steps(ROWS, "readmission")
    assert [step["step"] for step in steps] == ["training", "stopping", "calibration", "test"]
    assert {step["metric"] for step in steps} == {"auroc"}
    value = {step["step"]: step["value"] for step in steps}
    assert value["training"] > max(value["stopping"], value["calibration"], value["test"])
    n = {step["step"]: step["n"] for step in steps}
    # 15 % of the patients say when to stop.
    assert n["stopping"] / (n["training"] + n["stopping"]) == pytest.approx(0.15, abs=0.02)


def test_trees_that_were_grown_again_have_learned_from_the_stopping_rows_too() -> None:
    steps = of_steps(ROWS, "cost")
    assert [step["step"] for step in steps] == ["training", "calibration", "test"]
    assert steps[0]["n"] == len(split_by_time(ROWS, COST).training)
    assert steps[0]["metric"] == "d2"


def test_a_sample_is_of_whole_patients_and_about_as_large_as_asked() -> None:
    every = np.arange(8000)
    assert sample_of(ROWS, every, 8000, 0) is every
    some = sample_of(ROWS, every, 2000, 0)
    assert len(some) == pytest.approx(2000, rel=0.08)
    others = ROWS["patient_id"].iloc[np.setdiff1d(every, some)]
    assert not ROWS["patient_id"].iloc[some].isin(others).any()
    np.testing.assert_array_equal(some, sample_of(ROWS, every, 2000, 0))
