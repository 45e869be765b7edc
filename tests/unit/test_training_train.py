"""A trained model comes with its evidence, on rows and patients it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.model import model_from_text
from models.storage import read_artefact, write_artefact
from tests.admission_rows import FEATURES, admissions, data_set, recipe
from training.report.card import model_card
from training.report.findings import to_watch
from training.targets import TrainingError
from training.train import Effort, Trained, train_model
from training.validation.cross_validate import out_of_fold

ROWS = admissions(12_000, stays_per_patient=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def risk(folder: Path) -> Trained:
    return train_model(data_set(folder, ROWS), "readmission", threads=1, effort=Effort(40))


@pytest.fixture(scope="module")
def cost(folder: Path) -> Trained:
    return train_model(data_set(folder, ROWS), "cost", threads=1, effort=Effort(40))


@pytest.fixture(scope="module")
def undated(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    rows = admissions(3000, has_dates=False)
    data = data_set(tmp_path_factory.mktemp("undated"), rows, timeline="none")
    return train_model(data, "readmission", threads=1, effort=Effort(40))


def test_the_results_hold_what_is_promised(risk: Trained) -> None:
    results = risk.results
    assert (results["target"], results["prediction_point"]) == ("readmission", "admission")
    assert results["model"] == risk.artefact.name == "readmission-admission"
    assert results["estimate"] == "later-in-time test"
    assert results["kind"] == "risk"
    assert set(results["n"]) == {"train", "calibration", "test"}
    assert {"auroc", "auprc", "prevalence", "brier", "scaled_brier", "ici"} <= set(results["metrics"])
    assert {"prior_admissions", "logistic"} <= set(results["baselines"])
    assert results["baselines"]["logistic"]["difference"]["value"] == pytest.approx(
        results["metrics"]["auroc"]["value"] - results["baselines"]["logistic"]["auroc"]["value"]
    )
    assert set(risk.figures) == {
        *("calibration", "roc", "decision_curve", "contributions", "dependence"),
        *("base_rate", "groups", "groups_calibration"),
    }
    assert {"flow", "table_one", "missingness", "base_rate", "importance"} <= set(results)
    calibration = results["calibration"]
    assert calibration["method"] == risk.artefact.calibration.method
    chosen = [each["method"] for each in calibration["compared"] if each["chosen"]]
    assert chosen == [calibration["method"]]
    # Strictly finite JSON, as it goes to MLflow and to `--json`.
    json.dumps(results, allow_nan=False)


def test_patients_are_counted_beside_rows(risk: Trained, undated: Trained) -> None:
    assert set(risk.results["n_patients"]) == {"train", "calibration", "test"}
    assert risk.results["n_patients"]["test"] == ROWS["patient_id"].iloc[risk.test["row"]].nunique()
    # Without a calendar every patient is judged, and each of them is learned from or calibrated on.
    n_patients = undated.results["n_patients"]
    assert n_patients["test"] == n_patients["train"] + n_patients["calibration"]
    assert n_patients["test"] < undated.results["n"]["test"]


def test_the_model_separates_as_well_as_the_truth_allows(risk: Trained) -> None:
    # The true probabilities' own AUROC on these test rows is the ceiling.
    rows = ROWS.iloc[risk.test["row"]]
    truth = 0.5 * rows["n_stays_prior_365d"] + 0.8 * (rows["admitting_diagnosis_group"] == "Heart failure")
    events, others = (truth[rows["label_readmission"] == label].to_numpy() for label in (1, 0))
    wins = (events[:, None] > others).mean() + 0.5 * (events[:, None] == others).mean()
    assert (risk.results["metrics"]["auroc"]["value"] - 0.5) / (wins - 0.5) > 0.85
    # Probabilities near the true ones, whose mean is 0.17; the slope of so few test rows is mostly noise.
    true_probability = 1 / (1 + np.exp(2.2 - truth))
    assert np.abs(risk.test["value"].to_numpy() - true_probability.to_numpy()).mean() < 0.045


def test_the_judged_rows_are_the_latest_and_carry_no_identifier(risk: Trained) -> None:
    assert list(risk.test.columns) == ["row", "value"]
    assert len(risk.test) == risk.results["n"]["test"]
    test_from = pd.Timestamp(risk.results["split"]["test_from"])
    assert (ROWS["prediction_time"].iloc[risk.test["row"]] >= test_from).all()


def test_no_identifier_of_a_patient_or_a_stay_stands_in_anything_that_is_kept(tmp_path: Path) -> None:
    rows = ROWS.head(4000)
    marked = rows.assign(patient_id="MARKER" + rows["patient_id"], stay_id="MARKER" + rows["stay_id"])
    for target in ("readmission", "cost"):
        trained = train_model(data_set(tmp_path, marked), target, threads=1, effort=Effort(20))
        written = write_artefact(tmp_path / target, trained.artefact, trained.boosters)
        kept = [file.read_text("utf-8") for file in (tmp_path / target).iterdir()]
        kept += [written, json.dumps(trained.results), model_card(trained.artefact, trained.results)]
        kept += [trained.test.to_csv()]
        assert not [text for text in kept if "MARKER" in text]
        assert len(trained.test)


def test_the_model_carries_what_its_own_card_tells_of_source_groups_and_limits(cost: Trained) -> None:
    facts = cost.artefact.training.facts
    assert facts["source"]
    assert {entry["metric"] for entry in facts["groups"]["measures"]} <= {"wape", "bias", "interval_coverage"}
    assert facts["findings"] == to_watch(cost.results)
    assert cost.results["distribution"]["level"] == cost.artefact.distribution.level  # type: ignore[union-attr]


def test_the_cost_comes_with_interval_and_both_ways_of_counting(cost: Trained) -> None:
    metrics = cost.results["metrics"]
    assert {"mae", "mdae", "wape", "r2", "bias", "interval_coverage", "interval_width"} <= set(metrics)
    assert metrics["interval_coverage"]["value"] == pytest.approx(0.8, abs=0.06)
    assert metrics["bias"]["value"] == pytest.approx(1, abs=0.1)
    # Truncation takes from the actual costs only, so that the predicted share of them rises.
    assert cost.results["metrics_truncated"]["bias"]["value"] > metrics["bias"]["value"]
    assert {"overall_mean", "group_mean", "gamma"} == set(cost.results["baselines"])
    assert list(cost.test.columns) == ["row", "value", "low", "high"]


def test_groups_hold_patients_with_and_without_earlier_stays(risk: Trained) -> None:
    levels = {(group["group"], group["level"]) for group in risk.results["groups"]}
    assert {("sex", "female"), ("sex", "male"), ("earlier_stay", "yes"), ("earlier_stay", "no")} <= levels


def test_what_is_handed_over_is_a_whole_artefact(risk: Trained, tmp_path: Path) -> None:
    written = write_artefact(tmp_path / "model", risk.artefact, risk.boosters)
    artefact, boosters = read_artefact(tmp_path / "model", written)
    value = model_from_text(artefact, boosters).predict(ROWS.iloc[risk.test["row"]]).value
    np.testing.assert_array_equal(value, risk.test["value"])
    assert artefact.metrics == risk.results["metrics"]
    assert artefact.training.facts["rows"] == risk.results["n"]
    assert set(artefact.training.facts["versions"]) == {"wardcast", "lightgbm", "numpy", "pandas"}


def timeless(results: dict[str, Any]) -> dict[str, Any]:
    """The results without how long anything took."""
    explanation = {name: value for name, value in results["explanation"].items() if name != "rows_per_second"}
    return {**results, "explanation": explanation}


def test_the_same_data_and_seed_give_the_same_bytes(risk: Trained, tmp_path: Path) -> None:
    again = train_model(data_set(tmp_path, ROWS), "readmission", threads=1, effort=Effort(40))
    assert again.boosters == risk.boosters
    assert again.artefact == risk.artefact
    assert timeless(again.results) == timeless(risk.results)


def test_a_feature_that_is_known_only_later_does_not_enter(tmp_path: Path) -> None:
    from dataclasses import replace

    from features.catalogue import CATALOGUE

    data = data_set(tmp_path, ROWS.assign(length_of_stay_days=ROWS["label_readmission"]))
    leaky = replace(data, features=(*FEATURES, CATALOGUE["length_of_stay_days"]))
    trained = train_model(leaky, "readmission", threads=1, effort=Effort(40))
    assert "length_of_stay_days" not in [spec.name for spec in trained.artefact.features]


def test_without_dates_every_patient_is_judged_out_of_fold(undated: Trained) -> None:
    assert undated.results["estimate"] == "pooled patient-grouped out-of-fold"
    assert sorted(undated.test["row"]) == list(range(3000))
    assert undated.results["n"]["test"] == 3000
    assert undated.results["split"]["by"] == "patient"
    assert {"prior_admissions", "logistic"} <= set(undated.results["baselines"])
    assert undated.results["capacity_per_week"] is None


def test_dates_that_are_shifted_by_patient_order_no_two_patients(tmp_path: Path) -> None:
    rows = admissions(3000)
    data = data_set(tmp_path, rows, timeline="shifted")
    trained = train_model(data, "readmission", threads=1, effort=Effort(40), earlier=[data])
    results = trained.results
    assert results["estimate"] == "pooled patient-grouped out-of-fold"
    assert results["n"]["test"] == 3000
    assert results["split"] == {"by": "patient", "unlabelled": 0}
    assert (results["capacity_per_week"], results["asked_earlier"]) == (None, [])
    assert "deaths_as_not_readmitted" not in results
    assert not [name for name in results["metrics"] if name.endswith("_at_capacity")]
    assert trained.artefact.training.test_from is None
    assert trained.artefact.training.facts["window"] == {}


def test_an_out_of_fold_prediction_never_learned_the_patient() -> None:
    # The label is a coin thrown once for each patient, and a fact tells who the patient is: a model that
    # saw the patient would know the answer, one that did not can only guess.
    rows = admissions(3000, seed=4, stays_per_patient=10, has_dates=False)
    patients = pd.factorize(rows["patient_id"])[0]
    coin = np.random.default_rng(0).integers(0, 2, patients.max() + 1)[patients].astype(float)
    rows = rows.assign(label_readmission=coin, ward_score=patients.astype(float))
    judged = out_of_fold(rows, recipe("readmission"))
    label = coin[judged.rows]
    events, others = judged.value[label == 1], judged.value[label == 0]
    wins = (events[:, None] > others).mean() + 0.5 * (events[:, None] == others).mean()
    # 300 patients: the standard error of an AUROC of 0.5 among them is 0.033.
    assert abs(wins - 0.5) < 0.12


def test_too_few_rows_say_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Give a longer extract"):
        train_model(data_set(tmp_path, admissions(150)), "readmission", effort=Effort(40))


def test_a_target_that_the_point_does_not_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="unknown"):
        train_model(data_set(tmp_path, admissions(150)), "survival")
