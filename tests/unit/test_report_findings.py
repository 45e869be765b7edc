"""What validation showed beyond the gate's margins is told in words, where limits are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from features.points import Point
from models.card import card
from models.card_metrics import spread_of_groups
from models.card_page import Release, card_page
from tests.report_results import AMOUNT, AMOUNT_RESULTS, RISK, RISK_RESULTS, metric
from training.report.card import model_card_page
from training.report.findings import findings_in_words, to_watch
from training.report.page import report_page
from training.targets import TARGETS

RIGHT = {"bias": metric(1.0), "interval_coverage": metric(0.8)}
LEFT_OUT: list[dict[str, Any]] = [
    {"hospital": "H1", "n": 8085, "metrics": {**RIGHT, "bias": metric(0.637)}},
    {"hospital": "H2", "n": 900, "metrics": {**RIGHT, "bias": metric(1.05)}},
    {"hospital": "H3", "reason": "fewer than 50 rows"},
]
EARLIER: list[dict[str, Any]] = [
    {"hours_after_admission": 0.0, "n": 3700, "metrics": {**RIGHT, "bias": metric(0.782)}},
    {"hours_after_admission": 6.0, "n": 3700, "metrics": {**RIGHT, "bias": metric(0.95)}},
]
PERIODS: list[dict[str, Any]] = [
    {"from": "2023-01-01", "until": "2023-06-30", "n": 1000, "metrics": {**RIGHT, "bias": metric(1.02)}},
    {
        "from": "2023-07-01",
        "until": "2023-12-31",
        "n": 1000,
        "metrics": {**RIGHT, "interval_coverage": metric(0.77)},
    },
]
TUNING = {"n_trials": 6, "reason": "trial 2 is better than the defaults", "stopped_by": "time", "trials": []}
FOUND: dict[str, Any] = AMOUNT_RESULTS | {
    "by_hospital": LEFT_OUT,
    "asked_earlier": EARLIER,
    "back_test": PERIODS,
    "tuning": TUNING,
    "distribution": {"level": 0.8, "coverage_apart": []},
}


def limits_of(page: str) -> str:
    start = page.index('<section id="limits">')
    return page[start : page.index("</section>", start)]


def test_the_worst_hospital_period_and_use_are_named_with_what_they_mean() -> None:
    search, hospital, period, use = findings_in_words(FOUND)
    assert search == "Search of settings: 6 trials; trial 2 is better than the defaults. Time ended it."
    # 0.637 of the actual total is 36.3 % below it.
    assert hospital == (
        "Hospital H1, judged by a model that has not seen it: Predicted ÷ actual 0.637 (0.617 to 0.657) on "
        "8,085 rows, beyond 0.900 to 1.100: amounts are 36% too low (1 of 2 lie beyond such margins; this is "
        "the worst)."
    )
    # A coverage of 0.77 is three fifths of its margin off, a ratio of 1.02 a fifth.
    assert period == (
        "The period 2023-07-01 to 2023-12-31, judged by a model of the time before it: Within the interval "
        "77.0% (75.0% to 79.0%) on 1,000 rows, within 75.0% to 85.0%, the worst of 2."
    )
    assert "asked 0 h after admission: Predicted ÷ actual 0.782" in use
    assert "amounts are 22% too low" in use


def test_a_risk_says_in_which_direction_it_is_off() -> None:
    low: list[dict[str, Any]] = [
        {"hospital": "H1", "n": 900, "metrics": {"calibration_in_the_large": metric(0.5)}}
    ]
    (text,) = findings_in_words({"kind": "risk", "by_hospital": low})
    assert text.endswith("beyond -0.200 to 0.200: risks are too low.")
    extreme: list[dict[str, Any]] = [
        {"hospital": "H1", "n": 900, "metrics": {"calibration_slope": metric(0.5)}}
    ]
    assert findings_in_words({"kind": "risk", "by_hospital": extreme})[0].endswith("too extreme.")
    assert findings_in_words({}) == []


def test_what_lies_beyond_the_margins_stands_in_the_limits_and_on_the_card() -> None:
    watch = to_watch(FOUND)
    # The period is within: it is no warning.
    assert [text.split(",")[0] for text in watch] == [
        "Hospital H1",
        "Used otherwise",
    ]
    report, to_print = report_page(AMOUNT, FOUND, {}), model_card_page(AMOUNT, FOUND)
    for text in watch:
        assert text in limits_of(report)
        assert text in report[: report.index('id="intended-use"')]
        assert text in to_print
    within = report_page(AMOUNT, FOUND | {"by_hospital": LEFT_OUT[1:], "asked_earlier": EARLIER[1:]}, {})
    assert "Beyond the margins" not in limits_of(within)


def group(level: str, n: int, low: float, high: float) -> dict[str, Any]:
    coverage = {"value": (low + high) / 2, "low": low, "high": high}
    return {
        "group": "department",
        "level": level,
        "suppressed": False,
        "n": n,
        "metrics": {"interval_coverage": coverage},
    }


def test_every_group_whose_interval_misses_the_promise_is_to_be_looked_at_however_small() -> None:
    groups = [group("cardiac_surgery", 150, 0.607, 0.753), group("cardiology", 800, 0.78, 0.83)]
    page = report_page(AMOUNT, FOUND | {"groups": groups}, {})
    start = page.index('<section id="distribution">')
    told = page[start : page.index("</section>", start)]
    looked_at = told[: told.index("Of groups of 1,000 rows or more")]
    # (0.607 + 0.753) / 2 = 0.68; its interval ends below 0.8, the other's holds it.
    assert "cardiac surgery" in looked_at
    assert "68.0% (60.7% to 75.3%)" in looked_at
    assert "look at" in looked_at
    assert "cardiology" not in looked_at
    assert "department cardiac surgery 68.0% (60.7% to 75.3%)" in limits_of(page)
    fine = report_page(AMOUNT, FOUND | {"groups": groups[1:]}, {})
    assert "No group&#x27;s 95 % interval of the coverage misses the 80.0%" in fine
    assert "In no large group" not in fine


def test_the_models_own_card_tells_window_groups_and_what_to_watch() -> None:
    groups = [
        {"group": "payer", "level": "self_pay", "suppressed": False, "metrics": {"auroc": metric(0.61)}},
        {"group": "sex", "level": "female", "suppressed": False, "metrics": {"auroc": metric(0.74)}},
        {"group": "sex", "level": "male", "suppressed": True, "reason": "fewer than 50 rows"},
    ]
    spread = spread_of_groups(groups, "risk")
    assert (spread["n_shown"], spread["n_withheld"]) == (2, 1)
    facts = RISK.training.facts | {"groups": spread, "findings": ["Hospital H1 is far off."]}
    own = replace(RISK, training=replace(RISK.training, facts=facts), metrics=RISK_RESULTS["metrics"])
    told = card_page(own)
    assert "unplanned readmission within 30 days after discharge" in told
    assert "AUROC by group: 0.610 (payer self pay) to 0.740 (sex female)" in told
    assert "1 group too small to be judged" in told
    assert "Hospital H1 is far off." in told
    # A risk has no interval to look at.
    assert "look at risk, band and reasons together" in told
    assert "look at expected amount, interval, band and reasons" in card_page(AMOUNT)


def test_every_metric_of_a_card_says_how_to_read_it_and_none_is_in_powers_of_ten() -> None:
    own = replace(AMOUNT, metrics=AMOUNT_RESULTS["metrics"])
    for page in (card_page(own), model_card_page(AMOUNT, AMOUNT_RESULTS), card_page(RISK)):
        table = page[page.index('<table class="metrics">') :]
        table = table[: table.index("</table>")]
        assert "<td></td>" not in table
        assert "e+0" not in table
    assert "Mean absolute error 8,000 CNY (7,700 to 8,300)" in card_page(own)
    days = replace(own, name="stay_days-admission", target="stay_days", unit="days")
    days = replace(days, metrics={"mae": metric(3.071)})
    assert "Mean absolute error 3.07 days (3.05 to 3.09)" in card_page(days)


def test_a_card_knows_its_version_only_from_the_registry() -> None:
    inside = card_page(RISK)
    assert "given by the registry after this card was written" in inside
    released = card_page(RISK, release=Release(3, "ab" * 32, "2026-11-22T11:21:12+00:00"))
    assert "version 3, digest abababababab" in released
    assert "in service since 2026-11-22 11:21 UTC" in released


def test_nobody_can_miss_that_a_model_is_of_a_made_up_hospital() -> None:
    facts = RISK.training.facts | {"source": "synthetic 1"}
    made_up = replace(RISK, training=replace(RISK.training, facts=facts))
    pages = (report_page, lambda artefact, results, _: model_card_page(artefact, results))
    for page in (*pages, lambda artefact, *_: card_page(artefact)):
        assert 'class="banner"' in page(made_up, RISK_RESULTS, {})
        assert "never use it for patients" in page(made_up, RISK_RESULTS, {})
        assert 'class="banner"' not in page(RISK, RISK_RESULTS, {})
    assert "**This model was made on a made-up hospital" in card(made_up)
    assert "made-up" not in card(RISK)


def test_the_first_half_page_is_in_plain_words() -> None:
    risk = report_page(RISK, RISK_RESULTS, {})
    first = risk[risk.index('id="summary"') : risk.index('id="intended-use"')]
    # AUROC 0.72; the prevalence is 12 %.
    assert "gives the higher risk to the right one in 72 of 100 pairs (50 would be chance)" in first
    assert "12.0% of the patients had the outcome" in first
    assert "24 h after admission, if they are still in hospital then" in first
    # LACE's difference is 0.04 to 0.08, wholly above 0.
    assert "It is shown to be better than: LACE index." in first
    assert "its interval lies too high" not in first
    amount = report_page(AMOUNT, AMOUNT_RESULTS, {})
    first = amount[amount.index('id="summary"') : amount.index('id="intended-use"')]
    assert "off by 8,000 CNY on average, 40.0% of what was needed in all" in first
    assert "80.0% of actual amounts lie within its interval; 80.0% are promised." in first


def test_money_has_its_currency_and_shares_are_per_cent() -> None:
    page = report_page(AMOUNT, AMOUNT_RESULTS, {})
    for told in (
        "8,000 CNY (7,700 to 8,300)",  # mean absolute error
        "5,600 CNY (5,400 to 5,800)",  # CRPS
        "30,000 CNY (29,100 to 30,900)",  # width of the interval
        "cut at 20,000 CNY and 45,000 CNY",
        "truncated at 210,000 CNY",
        "80.0% (78.0% to 82.0%)",  # coverage
        "1.010 (0.990 to 1.030)",  # predicted ÷ actual
    ):
        assert told in page, told
    costs = replace(AMOUNT.features[0], unit="currency")
    dear = report_page(replace(AMOUNT, features=(costs,)), AMOUNT_RESULTS, {})
    assert "<td>CNY</td>" in dear
    assert "currency</td>" not in dear[dear.index('id="predictor-list"') :]


def test_what_a_model_is_for_names_its_window() -> None:
    use = TARGETS["readmission"].intended_use(Point.DISCHARGE, {"kind": "derived", "window_days": 30})
    assert "an unplanned readmission within 30 days after discharge" in use
    cost = TARGETS["cost"].intended_use(Point.ADMISSION, {"window_days": 30})
    assert "the expected cost of the episode and of stays within 30 days after discharge" in cost


def test_numbers_of_a_line_of_table_one_have_the_same_decimals() -> None:
    count = {"feature": "n", "label": "Stays", "unit": "", "level": None, "statistic": "median (quartiles)"}
    mean = count | {"label": "Potassium", "statistic": "mean (sd)"}
    table = {
        "columns": [{"name": "training", "label": "Training", "n": 100}],
        "rows": [
            count | {"cells": [{"median": 0.0, "q1": 0.0, "q3": 1.0}], "missing": [0.389]},
            mean | {"cells": [{"mean": 4.21, "sd": 0.45}], "missing": [0.0]},
        ],
    }
    page = report_page(RISK, RISK_RESULTS | {"table_one": table}, {})
    assert "<td>0 (0–1)</td>" in page
    assert "<td>4.21 (0.45)</td>" in page
    # What is missing has a line of its own, below the columns it is of, and only where something is.
    assert page.count("without a value</td><td>38.9%</td>") == 1
    assert page.count("without a value</td>") == 1
