"""The pictures of a report come from judged rows, and from few of them where explaining takes time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from tests.admission_rows import admissions, fitted
from tests.report_results import AMOUNT_RESULTS, RISK_RESULTS
from training.baselines import Baselines
from training.report.figures import contributed, contribution_figures, document_figures, judged_figures
from training.targets import TARGETS
from training.validation.explaining import explain
from training.validation.results import Judged

N = 200
LABEL = np.arange(N) % 2.0
PATIENTS = pd.Series(range(N))


@pytest.mark.parametrize(("n_missing", "n_lines"), [(0, 3), (100, 2)])
def test_curves_show_only_what_has_predicted_every_row(n_missing: int, n_lines: int) -> None:
    value = np.linspace(0.05, 0.45, N)
    score = np.where(np.arange(N) < n_missing, np.nan, 0.5)
    judged = Judged(
        np.arange(N),
        value,
        low=None,
        high=None,
        crps=None,
        pit=None,
        baselines=Baselines({"lace": score}, {}),
        truncated_at=None,
    )
    found = judged_figures(TARGETS["readmission"], "CNY", LABEL, judged, PATIENTS, Resampling(0, 10))
    # The line of chance, the model, and the score if every row has it.
    assert len(found["roc"].axes[0].lines) == n_lines
    # A tenth of the rows lies above the 90th percentile of 0.05 to 0.45: 0.05 + 0.9 · 0.4.
    bare = judged_figures(
        TARGETS["readmission"], "CNY", LABEL, judged, PATIENTS, Resampling(0, 10), has_capacity=False
    )
    assert not bare["decision_curve"].axes[0].texts
    assert "capacity: 0.41" in [text.get_text() for text in found["decision_curve"].axes[0].texts]


def test_contributions_are_the_models_own_and_categories_keep_their_words() -> None:
    model, rows = fitted("readmission").model, admissions(300, seed=3)
    found = contributed(model, explain(model, rows, np.arange(300), seed=1))
    parts = np.column_stack([feature.contributions for feature in found])
    np.testing.assert_array_equal(parts, model.predict(rows).contributions)
    (group,) = [feature for feature in found if feature.levels]
    words = [None if np.isnan(place) else group.levels[int(place)] for place in group.values]  # noqa: PD011
    recorded = rows["admitting_diagnosis_group"].astype(object)
    assert words == recorded.where(recorded.notna(), None).tolist()
    assert set(contribution_figures(found, "log_odds")) == {"contributions", "dependence"}


def test_fewer_than_ten_rows_have_no_picture_of_contributions() -> None:
    model = fitted("readmission").model
    found = contributed(model, explain(model, admissions(9), np.arange(9), seed=1))
    assert contribution_figures(found, "log_odds") == {}


def test_the_document_has_pictures_of_what_it_holds() -> None:
    assert set(document_figures(RISK_RESULTS, unit="", level=None)) == {
        *("base_rate", "learning_curve", "tuning", "groups", "groups_calibration")
    }
    amount = document_figures(AMOUNT_RESULTS, unit="CNY", level=0.8)
    assert set(amount) == {*("base_rate", "tuning", "groups", "groups_calibration", "groups_coverage", "pit")}
    assert document_figures({"kind": "risk"}, unit="", level=None) == {}
