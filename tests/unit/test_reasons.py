"""Reasons: the strongest contributions, with values as the model saw them, and what is without each."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibration import KnotsCalibration, LineCalibration
from serving.reasons import explain, reasons
from serving.reasons.families import SUPPLIED
from tests.explained import FIRST, SECOND, SPECS, amount_model, predicted, risk_model, spec

ROWS = [FIRST, SECOND]


def of(contributions: list[list[float]], **options: int | None) -> list[list[dict[str, object]]]:
    model = risk_model()
    rows = reasons(model, predicted(model, contributions, ROWS), **options)
    return [[dict(reason) for reason in row] for row in rows]


def test_the_strongest_contribution_comes_first_whatever_its_sign():
    first, second = of([[0.1, -0.9, 0.3, 0.2, 0.0], [0.0, 0.4, -0.5, 0.6, 0.1]], limit=2)
    assert [reason["feature"] for reason in first] == ["haemoglobin_first_day", "had_renal_disease"]
    assert [reason["direction"] for reason in first] == ["lowers", "raises"]
    assert [reason["contribution"] for reason in second] == [0.6, -0.5]


def test_equal_contributions_keep_the_order_of_the_features():
    row, _ = of([[0.2, -0.2, 0.2, -0.2, 0.2]] * 2)
    assert [reason["feature"] for reason in row] == [each.name for each in SPECS]


def test_a_contribution_of_nothing_is_no_reason_but_stands_in_the_full_list():
    contributions = [[0.0, 0.3, 0.0, 0.0, 0.0]] * 2
    assert len(of(contributions)[0]) == 1
    full = of(contributions, limit=None)[0]
    assert len(full) == len(SPECS)
    assert [reason["direction"] for reason in full] == ["raises", "none", "none", "none", "none"]


def test_values_are_those_that_the_model_saw():
    first, second = ({r["feature"]: r["value"] for r in row} for row in of([[1.0] * 5] * 2, limit=None))
    assert first == {
        "n_stays_prior_365d": 3,
        "haemoglobin_first_day": None,
        "had_renal_disease": True,
        "admission_type": "emergency",
        "stay_cost_prior_365d": 18200.0,
    }
    assert isinstance(first["n_stays_prior_365d"], int)
    assert second["admission_type"] is None
    assert second["had_renal_disease"] is False


def test_money_carries_the_currency_of_the_model():
    row, _ = of([[0.0, 0.0, 0.0, 0.0, 1.0]] * 2)
    assert row[0]["unit"] == "CNY"


def test_without_a_contribution_the_risk_is_that_of_the_raw_output_less_it():
    model = risk_model()
    odds = np.log([3.0, 1 / 2]).tolist()
    # Base log-odds of ln(1/3): odds 1/3, a quarter. Contributions of ln 3 and -ln 2: odds 1/3 * 3 / 2 = 1/2.
    found = reasons(
        model, predicted(model, [[*odds, 0.0, 0.0, 0.0]], [FIRST], base_value=float(np.log(1 / 3)))
    )[0]
    # Without ln 3: odds 1/6, a risk of 1/7. Without -ln 2: odds 1, a half.
    assert [reason["prediction_without"] for reason in found] == pytest.approx([1 / 7, 1 / 2])


def test_without_a_contribution_the_risk_goes_through_the_calibration_map():
    line = LineCalibration("platt", intercept=float(np.log(2.0)), slope=0.5)
    model = risk_model(calibration=line)
    found = reasons(model, predicted(model, [[float(np.log(4.0)), 0, 0, 0, 0]], [FIRST]))[0]
    # Raw 0 without it; odds exp(ln 2 + 0.5 * 0) = 2, a risk of 2/3. With it odds 2 * sqrt 4 = 4.
    assert found[0]["prediction_without"] == pytest.approx(2 / 3)
    assert model.value_at(predicted(model, [[np.log(4.0), 0, 0, 0, 0]], [FIRST]), np.array([[np.log(4.0)]]))[
        0, 0
    ] == pytest.approx(0.8)


def test_where_the_calibration_map_is_level_a_contribution_changes_nothing_that_is_shown():
    knots = KnotsCalibration("isotonic", ((-1.0, -2.0), (0.0, 0.0), (2.0, 0.0), (3.0, 1.0)))
    model = risk_model(calibration=knots)
    found = reasons(model, predicted(model, [[1.5, 0, 0, 0, 0]], [FIRST], base_value=0.25))[0]
    # Raw 1.75 and 0.25 both lie on the level at log-odds 0.
    assert found[0]["prediction_without"] == pytest.approx(0.5)


def test_without_a_contribution_an_amount_is_the_mean_of_its_moved_distribution():
    model = amount_model()
    # Mean 2 * exp(raw). Base ln 5,000, contributions ln 2 and -ln 4: raw ln 2,500, expected 5,000.
    parts = [[float(np.log(2.0)), -float(np.log(4.0)), 0.0, 0.0, 0.0]]
    prediction = predicted(model, parts, [FIRST], base_value=float(np.log(5000.0)))
    assert prediction.value[0] == pytest.approx(5000.0)
    found = reasons(model, prediction)[0]
    # Without -ln 4 four times as much, without ln 2 half of it.
    assert [reason["prediction_without"] for reason in found] == pytest.approx([20_000.0, 2_500.0])


def test_an_amount_without_a_contribution_is_never_less_than_the_least():
    model = amount_model(least=4000.0)
    parts = [[float(np.log(2.0)), 0.0, 0.0, 0.0, 0.0]]
    found = reasons(model, predicted(model, parts, [FIRST], base_value=float(np.log(1500.0))))[0]
    # 2 * 1,500 = 3,000 without it, held at 4,000.
    assert found[0]["prediction_without"] == 4000.0


FAMILIES = (*SPECS, spec("ward_score", "Ward score", "number", "points"))


def test_families_sum_their_members_and_add_up_to_the_raw_output():
    model = risk_model(FAMILIES)
    parts = [[0.4, -0.7, 0.2, 0.1, -0.1, 0.05]]
    prediction = predicted(model, parts, [(*FIRST, 2.0)], base_value=-1.0)
    (explanation,) = explain(model, prediction, limit=2, by_family=True)
    found = {group["family"]: group for group in explanation["groups"]}
    # Earlier stays: 0.4 - 0.1; the others have one member each. By size: -0.7, 0.3, 0.2, 0.1, 0.05.
    assert list(found) == [
        "laboratory",
        "earlier stays",
        "comorbidity",
        "how the patient comes in",
        SUPPLIED,
    ]
    stays = found["earlier stays"]
    assert stays["contribution"] == pytest.approx(0.3)
    assert [each["feature"] for each in stays["reasons"]] == ["n_stays_prior_365d", "stay_cost_prior_365d"]
    assert (stays["n_features"], stays["direction"]) == (2, "raises")
    # Raw -1.05 in all; without 0.3 it is -1.35.
    assert stays["prediction_without"] == pytest.approx(1 / (1 + np.exp(1.35)))
    total = -1.0 + sum(group["contribution"] for group in found.values())
    assert total == pytest.approx(float(prediction.raw_output[0]), abs=1e-6)
    # The strongest reasons are as many as were asked for, beside the families.
    assert [each["feature"] for each in explanation["reasons"]] == [
        "haemoglobin_first_day",
        "n_stays_prior_365d",
    ]


def test_a_family_lists_no_member_that_contributes_nothing():
    model = risk_model()
    (explanation,) = explain(
        model, predicted(model, [[0.4, 0.0, 0.0, 0.0, 0.0]], [FIRST]), limit=None, by_family=True
    )
    sizes = {group["family"]: group["n_features"] for group in explanation["groups"]}
    assert sizes == {"earlier stays": 1, "laboratory": 0, "comorbidity": 0, "how the patient comes in": 0}
    assert [len(group["reasons"]) for group in explanation["groups"]] == [1, 0, 0, 0]
    assert len(explanation["reasons"]) == len(SPECS)


def test_the_base_and_the_marks_of_the_scale_come_with_all_reasons_alone():
    model = risk_model()
    prediction = predicted(model, [[1.5, -0.5, 0.0, 0.0, 0.0]], [FIRST], base_value=-1.0)
    assert list(explain(model, prediction)[0]) == ["reasons"]
    (explanation,) = explain(model, prediction, limit=None, with_scale=True)
    assert explanation["base_prediction"] == pytest.approx(1 / (1 + np.e))
    # From -1.5 (18.2 %) to 0.5 (62.2 %): every 5 % between them, at its log-odds.
    shares = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]
    assert [mark["prediction"] for mark in explanation["marks"]] == shares
    log_odds = [np.log(share / (1 - share)) for share in shares]
    # Between two of 257 places the map is taken for straight.
    assert [mark["raw_output"] for mark in explanation["marks"]] == pytest.approx(log_odds, abs=1e-4)


def test_marks_of_an_amount_are_round_amounts_of_its_reach():
    model = amount_model()
    parts = [[float(np.log(4.0)), 0.0, 0.0, 0.0, 0.0]]
    (explanation,) = explain(
        model, predicted(model, parts, [FIRST], base_value=float(np.log(4000.0))), limit=None, with_scale=True
    )
    # From 2 * 4,000 to 2 * 16,000.
    assert [mark["prediction"] for mark in explanation["marks"]] == [10_000.0, 15_000.0, 20_000.0, 30_000.0]
    raw = [np.log(amount / 2) for amount in (10_000.0, 15_000.0, 20_000.0, 30_000.0)]
    assert [mark["raw_output"] for mark in explanation["marks"]] == pytest.approx(raw, abs=1e-4)


def test_nothing_is_explained_of_no_rows():
    model = risk_model()
    prediction = predicted(model, np.zeros((0, 5)), np.zeros((0, 5)))  # type: ignore[arg-type]
    assert explain(model, prediction, limit=None, by_family=True) == []
