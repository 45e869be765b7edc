"""Pictures are labelled, can be saved, and show no single patient."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from evaluation.calibration import smooth_calibration_band
from evaluation.contribution_plots import (
    SMALLEST_GROUP,
    Contributed,
    beeswarm_plot,
    dependence_plot,
    groups_in_order,
    steps_of,
)
from evaluation.decisions import net_benefit_band
from evaluation.plots import (
    amount_calibration_plot,
    base_rate_plot,
    calibration_plot,
    decision_curve_plot,
    groups_plot,
    learning_curve_plot,
    pit_plot,
    roc_plot,
    tuning_plot,
)

N = 400
RANDOM = np.random.default_rng(0)
PROBABILITY = np.linspace(0.05, 0.6, N)
LABEL = (RANDOM.random(N) < PROBABILITY).astype(float)
ACTUAL = RANDOM.gamma(2.0, 5000, N)
FEW = Resampling(0, 5)


def band(label: Any, probability: Any) -> pd.DataFrame:
    return smooth_calibration_band(label, probability, range(len(label)), FEW)


def saved(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def group(level: str, value: float) -> dict[str, Any]:
    metric = {"value": value, "low": value - 0.1, "high": value + 0.1}
    return {"group": "sex", "level": level, "suppressed": False, "n": 500, "metrics": {"auroc": metric}}


def test_every_picture_is_labelled_and_can_be_saved() -> None:
    everyone = {"value": 0.7, "low": 0.65, "high": 0.75}
    months = [{"month": f"2024-{m:02}", "slice": "training", "n": 100, "value": 0.1} for m in range(1, 13)]
    steps = [{"n_rows": n, "metric": "auroc", "value": 0.7, "low": 0.6, "high": 0.8} for n in (500, 1000)]
    figures = {
        "Observed share": calibration_plot(LABEL, PROBABILITY, band(LABEL, PROBABILITY)),
        "Sensitivity": roc_plot(LABEL, {"model": PROBABILITY, "coin": np.zeros(N)}),
        "Net benefit per admission": decision_curve_plot(
            LABEL, {"model": PROBABILITY}, capacity_threshold=0.4
        ),
        "Mean actual (CNY)": amount_calibration_plot(ACTUAL, ACTUAL * 1.1, unit="CNY"),
        "Share": base_rate_plot(months, y_label="Share"),
        "AUROC": learning_curve_plot(steps, y_label="AUROC"),
        "Share of rows": pit_plot([0.1] * 10),
        "": groups_plot([group("female", 0.7)], "auroc", title="By group", x_label="AUROC", overall=everyone),
    }
    for y_label, figure in figures.items():
        (axes,) = figure.axes
        assert axes.get_ylabel() == y_label
        assert axes.get_xlabel() or y_label == "Share"
        assert axes.get_title(loc="left")
        assert axes.get_legend() or figure.legends
        assert saved(figure).startswith(b"\x89PNG")


def test_pictures_name_their_numbers() -> None:
    figure = roc_plot([0, 0, 1, 1], {"model": [0.1, 0.5, 0.5, 0.9]})
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    # Of the four pairs of an event and another three are won and one ties: 3.5 of 4.
    assert texts == ["Chance", "model: AUROC 0.875"]


def test_the_line_of_the_capacity_stands_where_as_many_are_flagged() -> None:
    figure = decision_curve_plot(LABEL, {"model": PROBABILITY}, capacity_threshold=0.31)
    assert "capacity: 0.31" in [text.get_text() for text in figure.axes[0].texts]


def test_the_band_of_the_model_lies_about_its_line() -> None:
    found = net_benefit_band(LABEL, PROBABILITY, range(N), FEW, (0.1, 0.2))
    figure = decision_curve_plot(LABEL, {"model": PROBABILITY}, band=found, thresholds=(0.1, 0.2))
    (area,) = figure.axes[0].collections
    heights = area.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (found["low"].min(), found["high"].max())


def test_a_picture_of_one_outcome_or_one_prediction_is_still_drawn() -> None:
    for label in ([0, 0, 0], [0, 1, 0]):
        saved(calibration_plot(label, [0.2, 0.2, 0.2], band(label, [0.2, 0.2, 0.2])))
        saved(decision_curve_plot(label, {"model": [0.2, 0.2, 0.2]}))
    saved(amount_calibration_plot([0, 0], [1, 2], unit="CNY"))


def test_a_large_curve_is_thinned() -> None:
    score = np.random.default_rng(1).random(5000)
    figure = roc_plot(np.arange(5000) % 2, {"model": score})
    # Steps of 13 rows, the fewest that make no more than 400 of 5,000: 384 of them after the first point.
    assert len(figure.axes[0].lines[1].get_xdata()) == 385


@pytest.mark.parametrize("n_values", [200, 7])
def test_a_curve_bends_at_ten_rows_or_more(n_values: int) -> None:
    label, score = np.arange(200) % 2, np.arange(200) % n_values
    line = roc_plot(label, {"model": score}).axes[0].lines[1]
    # 100 rows have the outcome and 100 have not: shares are of these.
    n_rows = np.diff(line.get_xdata()) * 100 + np.diff(line.get_ydata()) * 100
    assert len(n_rows) == min(n_values, 20)
    assert (n_rows > 9.99).all()
    assert (line.get_xdata()[-1], line.get_ydata()[-1]) == (1, 1)


def test_a_mark_of_calibration_is_of_ten_rows_or_more() -> None:
    # 55 rows: five groups of 11. Of 30, 5 and 20 equal predictions the 5 have no mark.
    label = np.arange(55) % 2
    for predicted, n_marks in ((np.linspace(0.1, 0.5, 55), 5), (np.repeat([0.1, 0.2, 0.6], [30, 5, 20]), 2)):
        risks = calibration_plot(label, predicted, band(label, predicted)).axes[0]
        assert len(risks.containers[0].lines[0].get_xdata()) == n_marks
        amounts = amount_calibration_plot(label, predicted, unit="days").axes[0]
        assert len(amounts.lines[1].get_xdata()) == n_marks


def test_a_formula_in_a_label_stays_text() -> None:
    figure = roc_plot(LABEL, {"$x^2$ \x00": PROBABILITY})
    saved(figure)
    (_, text) = figure.axes[0].get_legend().get_texts()
    assert text.get_text().startswith("$x^2$ \N{REPLACEMENT CHARACTER}")
    assert not text.get_parse_math()


@pytest.mark.parametrize(("n", "n_groups"), [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (5000, 100)])
def test_a_mark_of_the_beeswarm_is_at_least_ten_rows(n: int, n_groups: int) -> None:
    groups = groups_in_order(np.random.default_rng(2).normal(size=n))
    assert len(groups) == n_groups
    assert all(len(rows) >= SMALLEST_GROUP for rows in groups)
    assert sorted(place for rows in groups for place in rows) == (list(range(n)) if n_groups else [])


def test_equal_values_stay_in_one_step_and_rare_ones_join_their_neighbours() -> None:
    # 30 zeros, 12 ones, 4 twos, 3 fives and a missing value: the ones take in the 7 rare rows after them,
    # since fewer than 10 would be left for a step of their own.
    values = np.array([0.0] * 30 + [1.0] * 12 + [2.0] * 4 + [5.0] * 3 + [np.nan])
    assert [len(rows) for rows in steps_of(values)] == [30, 19]
    assert steps_of(values[30:38]) == []


@pytest.mark.parametrize("n", [10, 37, 400])
def test_every_step_holds_at_least_ten_rows(n: int) -> None:
    random = np.random.default_rng(n)
    for values in (random.normal(size=n), random.poisson(1.0, n).astype(float), np.zeros(n)):
        groups = steps_of(values)
        assert all(len(rows) >= SMALLEST_GROUP for rows in groups)
        assert len(np.concatenate(groups)) == n


def contributed(n: int) -> list[Contributed]:
    random = np.random.default_rng(3)
    values = np.where(random.random(n) < 0.2, np.nan, random.normal(size=n))
    places = random.integers(0, 3, n).astype(float)
    return [
        Contributed("age", "Age", "years", values, np.nan_to_num(values) / 10),
        Contributed("ward", "Ward", "", places, places - 1, ("A", "B", "C")),
    ]


def test_no_mark_of_a_contribution_is_a_single_row() -> None:
    features = contributed(200)
    swarm = beeswarm_plot(features, x_label="log-odds").axes[0]
    # 200 rows make 20 groups for each of two features; the strongest stands first.
    marks = [len(points.get_offsets()) for points in swarm.collections]
    assert marks == [20, 20]
    assert [tick.get_text() for tick in swarm.get_yticklabels()] == ["Ward", "Age"]
    single = {round(float(value), 9) for feature in features[:1] for value in feature.contributions}
    drawn = {round(float(x), 9) for x, _ in swarm.collections[1].get_offsets()}
    # Missing values contribute exactly 0 here, in groups of their own.
    assert not (drawn - {0.0}) & single
    assert saved(dependence_plot(features, y_label="log-odds"))


def test_a_level_of_fewer_than_ten_rows_is_not_drawn() -> None:
    places = np.array([0.0] * 50 + [1.0] * 9)
    ward = Contributed("ward", "Ward", "", places, places, ("A", "B"))
    axes = dependence_plot([ward], y_label="log-odds").axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["A"]


def test_the_middle_of_the_forest_is_everyone_and_a_group_without_a_value_has_no_point() -> None:
    undefined = group("male", 0.7) | {"metrics": {"auroc": {"value": None, "low": None, "high": None}}}
    figure = groups_plot([group("female", 0.7), undefined], "auroc", title="t", x_label="x", overall=None)
    # One line and one point of the group that has a value.
    assert len(figure.axes[0].lines) == 2
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "sex: female (n 500)",
        "sex: male (n 500)",
    ]


def test_the_best_trial_so_far_never_rises() -> None:
    trials = [{"number": n, "score": score} for n, score in enumerate([0.5, None, 0.4, 0.45])]
    dots, best = tuning_plot(trials, "log loss").axes[0].lines
    assert list(dots.get_xdata()) == [0, 2, 3]
    assert list(best.get_ydata()) == [0.5, 0.4, 0.4]


def test_a_withheld_month_leaves_a_gap() -> None:
    months = [
        {"month": "2024-01", "slice": "training", "n": 100, "value": 0.1},
        {"month": "2024-02", "slice": "training", "reason": "fewer than 50 rows"},
        {"month": "2024-03", "slice": "test", "n": 100, "value": 0.2},
    ]
    training, test = base_rate_plot(months, y_label="share").axes[0].lines
    np.testing.assert_array_equal(training.get_ydata(), [0.1, np.nan])
    assert list(test.get_xdata()) == [2]
