"""The gate on real trainings: a better model comes in, a worse or unfair one stays out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.progress import silent
from tests.admission_rows import admissions, data_set
from tests.served import in_force
from training.registry.promotion import audit, promote
from training.registry.store import local_tracking
from wardcast.pipeline import Outcome, train
from wardcast.settings import Settings

NAME = "readmission-admission"


def made_up() -> pd.DataFrame:
    """8,000 patients, one admission each; heart failure, of a fifth, multiplies the odds by exp(2) = 7."""
    rows = admissions(8000)
    log_odds = -2.2 + 0.4 * rows["n_stays_prior_365d"] + 2.0 * (rows["admitting_diagnosis_group"] == FAILING)
    happens = np.random.default_rng(1).random(len(rows)) < expit(log_odds)
    return rows.assign(
        patient_id=[f"P{row}" for row in range(len(rows))], label_readmission=happens.astype(float)
    )


FAILING = "Heart failure"
ROWS = made_up()


def trained(work: Path, rows: pd.DataFrame, *, without: str = "", **settings: Any) -> Outcome:
    """What `wardcast train --promote` does with these rows, of which it may lack a feature."""
    work.mkdir(exist_ok=True)
    own = Settings(work=work, threads=1, **settings)
    data = data_set(work, rows)
    data = replace(data, features=tuple(feature for feature in data.features if feature.name != without))
    return train(data, "readmission", own, promote=True, tracking=local_tracking(work), progress=silent)


def failures(outcome: Outcome) -> list[str]:
    return [check["text"] for check in outcome.results["gate"]["checks"] if not check["passed"]]


DIAGNOSIS = "admitting_diagnosis_group"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of its own."""
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def first(house: Path) -> Outcome:
    """The first model, which has passed its gate."""
    return trained(house, ROWS)


@pytest.fixture(scope="module")
def worse(house: Path, first: Outcome) -> Outcome:
    """A challenger that does not know the diagnosis, where not to be worse would be enough."""
    return trained(house, ROWS, without=DIAGNOSIS, champion_rule="not_worse")


@pytest.fixture(scope="module")
def again(house: Path, first: Outcome) -> Outcome:
    """The same model again."""
    return trained(house, ROWS, acted_on_from="2024-06-01")


def test_a_good_model_becomes_champion(first: Outcome):
    assert failures(first) == []
    assert first.is_champion


def test_the_results_tell_that_explanations_add_up_and_how_fast_they_come(first: Outcome):
    explanation = first.results["explanation"]
    # Every judged row, up to 2,000.
    assert explanation["n"] == min(first.results["n"]["test"], 2000)
    assert explanation["largest_gap"] < 1e-9
    assert explanation["rows_per_second"] > 100


def test_a_worse_model_is_refused_and_the_champion_stays(house: Path, worse: Outcome):
    assert not worse.is_champion
    assert any(text.startswith("against champion version 1 on") for text in failures(worse))
    assert [champion.version for champion in in_force(house / "champions")] == [1]
    assert len(audit(NAME, tracking_uri=local_tracking(house)[0])) == 1


def test_the_same_again_is_no_reason_to_change(again: Outcome):
    assert [text.split(" on ")[0] for text in failures(again)] == ["against champion version 1"]
    assert not again.is_champion


def test_a_setting_marks_the_rows_of_the_time_when_the_model_was_acted_upon(first: Outcome, again: Outcome):
    test = ROWS[ROWS["prediction_time"] >= again.results["split"]["test_from"]]
    n_exposed = int((test["prediction_time"] >= "2024-06-01").sum())
    exposed = again.results["exposed"]
    assert (exposed["from"], exposed["n"], exposed["n_learned"]) == ("2024-06-01", n_exposed, 0)
    assert 0 < n_exposed < len(test)
    assert exposed["metrics"]["auroc"]["value"] != exposed["metrics_unexposed"]["auroc"]["value"]
    assert "exposed" not in first.results


def test_a_group_whose_risk_the_model_cannot_see_is_flagged_by_name(tmp_path: Path, first: Outcome):
    # A third of the women who would not come back do: a share of 0.2 becomes 0.2 + 0.8 / 3 = 0.47, and their
    # odds 0.88 ÷ 0.25 = 3.5 times what they were. Their sex is no feature of this model.
    rows = ROWS.copy()
    drawn = np.random.default_rng(0).random(len(rows)) < 1 / 3
    harmed = (rows["row_group_sex"] == "female") & drawn
    rows["label_readmission"] = rows["label_readmission"].where(~harmed, 1.0)
    outcome = trained(tmp_path / "work", rows)
    assert not outcome.is_champion
    flagged = [text for text in failures(outcome) if text.startswith("sex ")]
    assert [text.split(":")[0] for text in flagged] == ["sex female", "sex male"]


def test_a_better_model_replaces_a_worse_champion(house: Path, worse: Outcome, again: Outcome):
    where: dict[str, Any] = {"tracking_uri": local_tracking(house)[0], "champions": house / "champions"}
    version = worse.results["version"]
    promote(NAME, version, **where, changed_by="tester", override="to see it replaced")
    better = trained(house, ROWS)
    assert failures(better) == []
    assert [champion.version for champion in in_force(house / "champions")] == [better.results["version"]]
