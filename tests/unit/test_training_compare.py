"""A challenger meets the champion only where both can be held to the same rows and the same label."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from evaluation.discrimination import auroc
from models.artefact import Training
from models.model import Model
from tests.admission_rows import admissions, data_set, fitted
from training.gate import decide
from training.gate.champion import ChampionComparison, CommonExposed
from training.gate.compare import compare_with_champion
from training.train import Effort, Trained, train_model

ROWS = admissions(3000)


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    data = data_set(tmp_path_factory.mktemp("challenger"), ROWS)
    return train_model(data, "complication", threads=1, effort=Effort(20))


def champion(challenger: Trained, **changes: Any) -> Model:
    model = fitted("complication").model
    training = replace(challenger.artefact.training, **changes)
    return Model(replace(model.artefact, training=training), model.boosters)


def compared(challenger: Trained, **changes: Any) -> ChampionComparison:
    return compare_with_champion(challenger, champion(challenger, **changes), 3, ROWS)


def test_they_are_compared_on_the_rows_later_than_both_calibrations(challenger: Trained) -> None:
    everything = compared(challenger)
    assert everything.n_rows == challenger.results["n"]["test"]
    later_from = dt.date(2024, 8, 1)
    later = (ROWS["prediction_time"].iloc[challenger.test["row"]] >= pd.Timestamp(later_from)).sum()
    assert 0 < later < everything.n_rows
    assert compared(challenger, test_from=later_from).n_rows == later


def test_each_group_has_its_own_difference_on_the_same_rows(challenger: Trained) -> None:
    found = {(entry["group"], entry["level"]): entry for entry in compared(challenger).groups}
    assert {("sex", "female"), ("sex", "male"), ("earlier_stay", "yes")} <= set(found)
    rows = ROWS.iloc[challenger.test["row"]]
    women = (rows["row_group_sex"] == "female").to_numpy()
    assert found["sex", "female"]["n"] == women.sum()
    label, reference = rows["label_complication"][women], champion(challenger).predict(rows[women]).value
    own = auroc(label, challenger.test["value"][women]) - auroc(label, reference)
    assert found["sex", "female"]["metrics"]["auroc"]["value"] == pytest.approx(own)


def test_rows_since_models_are_acted_upon_are_counted_and_those_before_compared_alone(
    challenger: Trained,
) -> None:
    assert compared(challenger).exposed is None
    rows, day = ROWS.iloc[challenger.test["row"]], dt.date(2024, 8, 1)
    before = (rows["prediction_time"] < "2024-08-01").to_numpy()
    theirs = champion(challenger)

    def exposed(since: dt.date) -> CommonExposed | None:
        return compare_with_champion(challenger, theirs, 3, ROWS, acted_on_from=since).exposed

    found = exposed(day)
    assert found is not None
    assert (found.since, found.n_rows) == (day, (~before).sum())
    label = rows["label_complication"][before]
    own = auroc(label, challenger.test["value"][before])
    own -= auroc(label, theirs.predict(rows[before]).value)
    assert found.difference_before is not None
    assert found.difference_before["value"] == pytest.approx(own)
    # The test ends on 26 September 2024 at the latest: nothing lies later. Since 1 January all does.
    assert exposed(dt.date(2024, 10, 1)) is None
    everything = exposed(dt.date(2024, 1, 1))
    assert everything == CommonExposed(dt.date(2024, 1, 1), len(rows), None)


def test_labels_that_rest_on_something_else_are_not_compared(challenger: Trained) -> None:
    assert challenger.artefact.training.label == {"rests_on": "flags"}
    found = compared(challenger, label={"rests_on": "impossible_codes"})
    assert (found.n_rows, found.difference) == (0, None)
    gate = decide(challenger.results, found)
    assert "against champion version 3: their labels follow different rules" in str(gate.reasons)
    assert not gate.passed


@pytest.mark.parametrize("changes", [{"test_from": None}, {"test_from": dt.date(2030, 1, 1)}])
def test_without_a_later_row_there_is_no_comparison(challenger: Trained, changes: dict[str, Any]) -> None:
    found = compared(challenger, **changes)
    assert found == ChampionComparison(3, 0, None, "there are no rows later than both calibration slices")


def test_a_misspelt_fact_of_the_training_is_an_error() -> None:
    with pytest.raises(TypeError, match="time_line"):
        Training(time_line="none", label={})  # type: ignore[call-arg]
