"""A model is judged elsewhere as it is, and refused where its numbers would mean something else."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk, sample_score
from features.build import PatientLevelData
from features.dataset import CodeSystems, DataSet
from features.points import Point
from features.settings import FeatureSettings
from models.model import Model
from models.storage import digest, write_artefact
from tests.admission_rows import admissions, data_set, fitted
from training.document import label_rule
from training.external import ExternalError
from training.external.evaluate import evaluate_elsewhere, judge_elsewhere
from training.external.fitness import check_context
from training.external.model import Found, find_model
from training.targets import TARGETS

RESAMPLING = Resampling(0, 20)


def found(target: str, data: PatientLevelData, **training: Any) -> Found:
    """A model of other rows whose labels follow the same rule."""
    model = fitted(target).model
    facts = replace(model.artefact.training, label=label_rule(data, TARGETS[target]), **training)
    return Found(f"{target}-admission/1", Model(replace(model.artefact, training=facts), model.boosters), "d")


def elsewhere(folder: Path, *, seed: int = 5, n: int = 3000, **changes: Any) -> PatientLevelData:
    rows = admissions(n, seed=seed).assign(**changes)
    return data_set(folder, rows)


def document(target: str, data: PatientLevelData, **training: Any) -> dict[str, Any]:
    return judge_elsewhere(found(target, data, **training), data, resampling=RESAMPLING).document


def test_a_risk_is_measured_on_every_labelled_row_as_it_is(tmp_path: Path):
    rows = admissions(3000, seed=5)
    rows.loc[:99, "label_readmission"] = None
    data = data_set(tmp_path, rows)
    own, labelled = document("readmission", data), rows.iloc[100:]
    value = fitted("readmission").model.predict(labelled).value
    expected = evaluate_risk(labelled["label_readmission"], value, labelled["patient_id"], RESAMPLING)
    assert {name: own["metrics"][name] for name in expected} == expected
    patients = labelled["patient_id"].nunique()
    assert own["n"] == {
        "rows": 3000,
        "labelled": 2900,
        "judged": 2900,
        "unsettled": 0,
        "patients": patients,
    }
    assert (own["model"], own["kind"], own["data_set"]) == ("readmission-admission/1", "risk", "made-up")


def test_days_of_which_only_the_short_stays_have_an_outcome_yet_are_not_judged(tmp_path: Path):
    rows = admissions(3000, seed=5)
    # Every tenth stay is 60 days longer, and what ends after 1 June 2024 is not known yet.
    day, is_long = rows["prediction_time"].dt.normalize(), rows.index % 10 == 0
    ended = day + pd.to_timedelta(35 + 60 * is_long, unit="D")
    known_until = pd.Timestamp("2024-06-01")
    rows = rows.assign(row_label_end_on_readmission=ended.dt.date)
    rows["label_readmission"] = rows["label_readmission"].where(ended <= known_until)
    # The last that is known ended on 1 June or some days before; a stay may take 95 days until then.
    settled = day + pd.Timedelta(days=95) <= ended[ended <= known_until].max()
    own = document("readmission", data_set(tmp_path, rows))
    n_labelled, n_judged = int(rows["label_readmission"].notna().sum()), int(settled.sum())
    assert n_labelled - n_judged > 100
    assert (own["n"]["labelled"], own["n"]["judged"]) == (n_labelled, n_judged)
    assert own["n"]["unsettled"] == n_labelled - n_judged
    expected = rows[settled]["label_readmission"].mean()
    assert own["metrics"]["prevalence"]["value"] == pytest.approx(expected)


def test_rows_since_models_are_acted_upon_are_told_and_suggest_no_recalibration(tmp_path: Path):
    data, day = elsewhere(tmp_path), dt.date(2024, 1, 1)
    times = admissions(3000, seed=5)["prediction_time"]
    n_since = int((times >= pd.Timestamp(day)).sum())
    model = found("readmission", data, test_from=dt.date(2021, 12, 31))
    own = judge_elsewhere(model, data, resampling=RESAMPLING, acted_on_from=day).document
    assert own["recalibration"] == {"missing": "acting on models has changed what they are judged by"}
    assert own["warnings"][0].startswith(
        f"{n_since:,} of the judged rows lie on or after 2024-01-01, since when models are acted upon"
    )
    # The last admission is of September 2024: a later day changes nothing.
    later = judge_elsewhere(model, data, resampling=RESAMPLING, acted_on_from=dt.date(2025, 1, 1)).document
    assert later == judge_elsewhere(model, data, resampling=RESAMPLING).document
    assert "suggested" in later["recalibration"]


def test_a_published_score_ranks_the_same_rows_by_its_own_points(tmp_path: Path):
    rows = admissions(3000, seed=5)
    own = document("readmission", data_set(tmp_path, rows))["baselines"]
    # LACE and HOSPITAL are scores of the discharge.
    assert set(own) == {"prior_admissions"}
    label, patients = rows["label_readmission"], rows["patient_id"]
    theirs = sample_score(label, rows["n_stays_prior_365d"], patients, RESAMPLING)
    ours = sample_score(label, fitted("readmission").model.predict(rows).value, patients, RESAMPLING)
    assert own["prior_admissions"]["auroc"] == theirs.metric("auroc")
    assert own["prior_admissions"]["difference"] == ours.minus(theirs).metric("auroc")


def test_a_cost_is_measured_with_its_interval(tmp_path: Path):
    rows = admissions(1500, seed=5)
    own = document("cost", data_set(tmp_path, rows))
    predicted = fitted("cost").model.predict(rows)
    expected = evaluate_amount(
        rows["label_episode_cost"],
        predicted.value,
        predicted.low,
        predicted.high,
        rows["patient_id"],
        RESAMPLING,
    )
    assert {name: own["metrics"][name] for name in expected} == expected
    assert {group["level"] for group in own["groups"] if group["group"] == "sex"} == {"female", "male"}


def test_where_half_of_the_readmissions_do_not_happen_a_recalibration_is_suggested(tmp_path: Path):
    rows = admissions(8000, seed=5)
    rows["label_readmission"] = rows["label_readmission"].where(rows.index % 2 == 0, 0.0)
    own = document("readmission", data_set(tmp_path, rows))["recalibration"]
    assert own["suggested"] in ("shift", "slope")
    # Half as many: at a risk of 0.15, log-odds fall from -1.73 to those of 0.075, -2.51: by 0.78.
    at = -1.73
    assert own["intercept"] + own["slope"] * at - at == pytest.approx(-0.78, abs=0.15)
    before, after = (own["held_out"][name] for name in ("metrics", "metrics_recalibrated"))
    assert abs(after["calibration_in_the_large"]["value"]) < abs(before["calibration_in_the_large"]["value"])


def test_no_patient_is_in_the_document(tmp_path: Path):
    text = json.dumps(document("readmission", elsewhere(tmp_path)))
    assert not [patient for patient in admissions(3000, seed=5)["patient_id"] if f'"{patient}"' in text]


def test_rows_of_the_time_that_it_learned_from_are_told(tmp_path: Path):
    data = elsewhere(tmp_path)
    times = admissions(3000, seed=5)["prediction_time"]
    day = dt.date(2024, 1, 1)
    n_early = int((times < pd.Timestamp(day)).sum())
    warnings = document("readmission", data, test_from=day)["warnings"]
    assert warnings[0].startswith(f"{n_early:,} of 3,000 judged rows lie before 2024-01-01")
    assert "admitted before it too" in warnings[1]
    # Two years earlier, before the first admission, nothing overlaps.
    assert document("readmission", data, test_from=dt.date(2021, 12, 31))["warnings"] == []


def test_the_very_data_set_of_the_training_is_told_and_so_is_the_want_of_dates(tmp_path: Path):
    warnings = document("readmission", elsewhere(tmp_path), facts={"data_hash": "0" * 64})["warnings"]
    assert warnings[0] == (
        "This is the very data set that the model was trained on: this is no external validation."
    )
    assert warnings[1].startswith("No dates tell whether the judged admissions are later")


def test_what_the_extract_does_not_supply_is_named(tmp_path: Path):
    data = elsewhere(tmp_path)
    data = replace(data, features=data.features[:-1])
    own = document("readmission", data, test_from=dt.date(2021, 12, 31))
    assert own["warnings"] == [
        "Judged without ward_score, which the extract that the model learned from supplied and this one does "
        "not."
    ]


def test_features_that_no_judged_row_has_are_named(tmp_path: Path):
    data = elsewhere(tmp_path, age_years=np.nan)
    (warning,) = document("readmission", data, test_from=dt.date(2021, 12, 31))["warnings"]
    n = len(fitted("readmission").model.artefact.features)
    assert warning.startswith(f"1 of its {n} features are missing in every judged row (")
    # Some patients' ages are no reason to warn.
    half = admissions(3000, seed=5)["age_years"].where(lambda age: age > age.median())
    (tmp_path / "half").mkdir()
    known = elsewhere(tmp_path / "half", age_years=half)
    assert document("readmission", known, test_from=dt.date(2021, 12, 31))["warnings"] == []


def test_labels_of_another_rule_are_refused_with_both_rules(tmp_path: Path):
    data = elsewhere(tmp_path)
    model = found("readmission", data)
    later = replace(data, settings=FeatureSettings(readmission_window_days=90))
    with pytest.raises(
        ExternalError, match=r"another rule: window_days 30 \(here 90\)\. Set the same windows"
    ):
        judge_elsewhere(model, later, resampling=RESAMPLING)


def test_without_outcomes_nothing_can_be_judged(tmp_path: Path):
    with pytest.raises(
        ExternalError, match=r"made-up: 0 of 3000 rows have a settled outcome of readmission, fewer"
    ):
        document("readmission", elsewhere(tmp_path, label_readmission=None))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"currency": "USD"}, r"learned from currency CNY \(here USD\)\. Its predictions mean nothing here"),
        ({"cost_basis": "paid"}, r"cost_basis billed \(here paid\)"),
        (
            {"code_systems": CodeSystems(diagnosis="icd9cm")},
            r"code_systems diagnosis icd10 \(here diagnosis icd9cm\)",
        ),
        ({"timeline": "none"}, r"records with dates \(this data set has no dates\)"),
    ],
)
def test_a_data_set_in_another_context_is_refused(tmp_path: Path, changes: dict[str, Any], words: str):
    data = elsewhere(tmp_path, n=100)
    artefact = found("readmission", data).model.artefact
    check_context(artefact, DataSet(tmp_path, data.declaration))
    other = data.declaration.model_copy(update=changes)
    with pytest.raises(ExternalError, match=words):
        check_context(artefact, DataSet(tmp_path, other))


def test_features_that_are_computed_differently_now_are_refused(tmp_path: Path):
    data = elsewhere(tmp_path, n=100)
    artefact = replace(found("readmission", data).model.artefact, fingerprint="f" * 64)
    with pytest.raises(ExternalError, match="features that this version computes differently"):
        check_context(artefact, DataSet(tmp_path, data.declaration))


def test_the_context_is_checked_before_anything_is_built(tmp_path: Path):
    data = elsewhere(tmp_path, n=100)
    nowhere = DataSet(tmp_path / "not there", data.declaration.model_copy(update={"currency": "USD"}))
    with pytest.raises(ExternalError, match="currency"):
        evaluate_elsewhere(
            found("readmission", data), nowhere, settings=FeatureSettings(), scratch=tmp_path / "work"
        )
    assert not (tmp_path / "work").exists()


def test_a_model_is_found_by_its_folder_or_told_how_to_name_it(tmp_path: Path):
    model = fitted("readmission")
    folder = tmp_path / "artefact"
    write_artefact(folder, model.model.artefact, model.boosters)
    where: dict[str, Any] = {
        "tracking_uri": f"sqlite:///{tmp_path}/none.db",
        "champions": tmp_path / "champions",
    }
    own = find_model(str(folder), **where)
    assert (own.model_id, own.digest) == (str(folder), digest(folder))
    for name in ("readmission-discharge", "readmission-discharge/2", "../x"):
        with pytest.raises(ExternalError, match="no such model"):
            find_model(name, **where)
    assert not (tmp_path / "none.db").exists()


def test_a_version_is_a_number(tmp_path: Path):
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(ExternalError, match="readmission-discharge/²: no such model"):
        find_model(
            "readmission-discharge/²",
            tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
            champions=tmp_path / "champions",
        )


def test_patients_rows_that_a_killed_evaluation_left_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = elsewhere(tmp_path, n=100)
    work = tmp_path / "work"
    killed = work / ".evaluate.abcdefgh"
    killed.mkdir(parents=True)
    (killed / "held while writing").touch()
    (killed / "rows.parquet").touch()
    (work / "mlflow.db").touch()
    seen: list[list[Path]] = []

    def fails(dataset: DataSet, point: Point, file: Path, **options: Any) -> PatientLevelData:
        seen.append(sorted(file.parent.parent.glob(".evaluate.*")))
        raise KeyboardInterrupt

    monkeypatch.setattr("training.external.evaluate.build", fails)
    with pytest.raises(KeyboardInterrupt):
        evaluate_elsewhere(
            found("readmission", data),
            DataSet(tmp_path, data.declaration),
            settings=FeatureSettings(),
            scratch=work,
        )
    # While it ran there was its own folder alone.
    assert len(seen[0]) == 1
    assert killed not in seen[0]
    assert [file.name for file in work.iterdir()] == ["mlflow.db"]
