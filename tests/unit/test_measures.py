"""Numbers of measures are written the same way everywhere: fixed decimals, per cent, units."""

from __future__ import annotations

import math

import pytest

from models.measures import MEASURES, amount, difference, estimate, measure_name, percent, short_name
from models.words import made_up_warning, model_title, outcome_words, plain_words, unit_of_feature


@pytest.mark.parametrize(
    ("name", "value", "unit", "told"),
    [
        # Digits of the measure, not of the number: a 1 is not shorter than its own interval.
        ("bias", {"value": 1.0028, "low": 0.975, "high": 1.0338}, "", "1.003 (0.975 to 1.034)"),
        ("interval_coverage", {"value": 0.7996, "low": 0.786, "high": 0.8126}, "", "80.0% (78.6% to 81.3%)"),
        ("d2", {"value": -1.25e-05, "low": -0.00293, "high": -5.21e-07}, "", "0.000 (-0.003 to 0.000)"),
        (
            "mae",
            {"value": 10219.14, "low": 9544.9, "high": 10924.0},
            "CNY",
            "10,219 CNY (9,545 to 10,924)",
        ),
        ("mae", {"value": 3.0712, "low": 2.95, "high": 3.2}, "days", "3.07 days (2.95 to 3.20)"),
        ("crps", 7206.5, "CNY", "7,206 CNY"),
        ("prevalence", 0.1238, "", "12.4%"),
        ("net_benefit_at_0.1", 0.05722, "", "0.0572"),
        ("alerts_per_week_at_capacity", 6.0, "", "6.0"),
        ("auroc", {"value": 0.7, "low": None, "high": None}, "", "0.700"),
        ("auroc", {"value": None, "reason": "one outcome only"}, "", "– (one outcome only)"),
        ("auroc", math.nan, "", "–"),
        ("auroc", None, "", "–"),
    ],
)
def test_a_measure_has_its_own_decimals_and_unit(name: str, value: object, unit: str, told: str) -> None:
    assert estimate(name, value, unit) == told


def test_no_number_of_any_measure_is_in_powers_of_ten() -> None:
    for name in MEASURES:
        for value in (1e-9, -1e-9, 1e7):
            text = estimate(name, {"value": value, "low": value, "high": value}, "CNY")
            assert "e-" not in text
            assert "e+" not in text
            assert "-0.000 " not in text


def test_a_difference_tells_its_sign() -> None:
    ahead = {"value": 0.0519, "low": -0.0012, "high": 0.0733}
    assert difference("auroc", ahead) == "+0.052 (-0.001 to +0.073)"
    assert difference("mae", {"value": -12.4, "low": -30.0, "high": 2.0}, "CNY") == "-12 CNY (-30 to +2)"
    assert difference("auroc", {"value": None}) == "–"


def test_measures_say_what_they_are_held_against() -> None:
    assert measure_name("auroc") == "AUROC (0.5 chance, 1 perfect)"
    assert measure_name("wape") == "Absolute error ÷ actual total (WAPE; 0 perfect)"
    assert "log-odds" in measure_name("calibration_in_the_large")
    assert "log-odds" in short_name("calibration_in_the_large")
    assert short_name("sensitivity_at_capacity") == "Sensitivity, at the capacity"
    assert short_name("net_benefit_at_0.1") == "Net benefit, at a threshold of 10%"
    assert short_name("something_new") == "something new"


def test_shares_and_amounts_alone() -> None:
    assert percent(0.38) == "38.0%"
    assert percent(None) == "–"
    assert amount(-0.2, "CNY") == "0 CNY"
    assert unit_of_feature("currency", "CNY") == "CNY"


def test_names_of_a_machine_become_words() -> None:
    assert plain_words("general_surgery") == "general surgery"
    assert model_title("stay_days", "admission") == "Length of stay, predicted at admission"
    assert model_title("cost", "preadmission") == "Cost of the episode, predicted before admission"


@pytest.mark.parametrize(
    ("target", "label", "told"),
    [
        ("readmission", {"kind": "derived", "window_days": 30}, "within 30 days after discharge"),
        ("readmission", {"kind": "given", "definition": "within 31 days"}, "readmission (within 31 days)"),
        ("cost", {"window_days": 30}, "every acute stay that starts within 30 days after discharge"),
        ("cost", {"kind": "given"}, "as the extract gives it"),
        ("charges", {}, "charges of the stay itself"),
        ("stay_days", {"counts": "midnights"}, "length of the stay in midnights"),
    ],
)
def test_the_outcome_names_its_window(target: str, label: dict[str, object], told: str) -> None:
    assert told in outcome_words(target, label)


def test_only_records_of_nobody_are_warned_of() -> None:
    assert "made-up hospital" in made_up_warning("synthetic 1")
    assert "never use it for patients" in made_up_warning("synthetic 1")
    assert "DE-SynPUF" in made_up_warning("synpuf 1.0")
    assert made_up_warning("canonical 1") == ""
    assert made_up_warning(None) == ""
