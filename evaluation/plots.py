"""Pictures of the measures, as matplotlib figures that know nothing of a screen: save them with `savefig`.

Every line has a dash or a marker of its own, so that they are told apart in grey print too. No picture shows
a single patient: curves are of groups or smoothed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evaluation.amounts import bias_by_decile
from evaluation.arrays import FloatArray, Vector, labels, numbers, probabilities
from evaluation.calibration import calibration_curve
from evaluation.decisions import net_benefit
from evaluation.discrimination import auroc, roc_curve
from features.pictures import COLOURS, drawing, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKED = "#0b5394"
GUIDE = "#888888"
LINES = tuple(COLOURS[place] for place in (1, 2, 5, 6, 7))
"""Without the palest colours, which are lost on paper."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
MOST_POINTS = 400
"""Of a curve: more are not seen, and the picture stays small."""
THRESHOLDS = tuple(np.arange(0.01, 0.51, 0.01).tolist())
"""Of a decision curve."""
SMALLEST_MARK = 10
"""Rows: fewer are no mark, and no step of a curve."""
PERIODS = {
    "training": (COLOURS[0], "o"),
    "calibration": (COLOURS[6], "s"),
    "test": (COLOURS[5], "^"),
}


def new_figure(title: str, x_label: str, y_label: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """An empty picture of that many inches with its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _line_styles() -> Iterator[dict[str, Any]]:
    first = {"color": MARKED, "linestyle": "-", "linewidth": 2.0}
    others = zip(cycle(LINES), cycle(DASHES[1:]), strict=False)
    yield first
    for colour, dash in others:
        yield {"color": colour, "linestyle": dash, "linewidth": 1.5}


def _n_marks(n_rows: int) -> int:
    return max(1, min(10, n_rows // SMALLEST_MARK))


def _marks(curve: pd.DataFrame) -> pd.DataFrame:
    """Without those of too few rows, as there may be where many predictions are the same."""
    return curve[curve["n"] >= SMALLEST_MARK]


@drawing()
def calibration_plot(
    label: Vector,
    probability: Vector,
    band: pd.DataFrame,
    *,
    title: str = "Calibration",
) -> Figure:
    """Observed share against predicted risk: groups of equal size with intervals, and the smooth curve.

    A mark is of at least 10 rows: there are ten, fewer of fewer than 100 rows. `band` is the curve with
    its interval (`smooth_calibration_band`).
    """
    outcome, predicted = labels(label), probabilities(probability)
    figure, axes = new_figure(title, "Predicted risk", "Observed share", (5.2, 4.8))
    curve = _marks(calibration_curve(outcome, predicted, n_bins=_n_marks(len(outcome))))
    highest = [curve["high"].max(), band["predicted"].max(), band["observed"].max()]
    # Where all outcomes are the same there is no curve.
    limit = min(1.0, 1.05 * float(np.nanmax(highest)))
    axes.plot([0, limit], [0, limit], "--", color=GUIDE, linewidth=1, label="Ideal")
    axes.fill_between(
        band["predicted"],
        band["low"],
        band["high"],
        color=MARKED,
        alpha=0.18,
        linewidth=0,
        label="Smoothed: 95 % band, patients resampled",
    )
    axes.plot(band["predicted"], band["observed"], color=MARKED, linewidth=1.8, label="Smoothed")
    reach = [curve["observed_share"] - curve["low"], curve["high"] - curve["observed_share"]]
    axes.errorbar(
        curve["mean_predicted"],
        curve["observed_share"],
        yerr=np.clip(reach, 0, None),
        fmt="o",
        color=COLOURS[6],
        markersize=4,
        linewidth=1,
        label="Groups of equal size, 95 % interval",
    )
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    axes.legend(frameon=False, loc="best", fontsize=8)
    return figure


@drawing()
def roc_plot(label: Vector, scores: Mapping[str, Vector], *, title: str = "ROC curve") -> Figure:
    """Sensitivity against the share of false alarms, one line per named score, with its AUROC.

    A line bends at quantiles of the score alone, 10 rows or more apart, so that it tells no single patient's.
    """
    figure, axes = new_figure(title, "False alarms among rows without the outcome", "Sensitivity", (5.2, 4.8))
    axes.plot([0, 1], [0, 1], ":", color=GUIDE, linewidth=1, label="Chance")
    for (name, score), style in zip(scores.items(), _line_styles(), strict=False):
        text = plain(f"{name}: AUROC {auroc(label, score):.3f}")
        curve = roc_curve(label, _by_quantile(numbers(score, "score")))
        axes.plot(curve["false_positive_share"], curve["sensitivity"], label=text, **style)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return figure


def _by_quantile(values: FloatArray) -> FloatArray:
    """The group of each value, in rising order: of at least 10 rows each, equal values in one."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    changes = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    smallest = max(SMALLEST_MARK, -(-len(values) // MOST_POINTS))
    changes = changes[changes <= len(values) - smallest]
    starts = [0]
    while (next_one := np.searchsorted(changes, starts[-1] + smallest)) < len(changes):
        starts.append(int(changes[next_one]))
    groups = np.empty(len(values))
    groups[order] = np.searchsorted(starts, np.arange(len(values)), side="right")
    return groups


@drawing()
def decision_curve_plot(
    label: Vector,
    models: Mapping[str, Vector],
    *,
    band: pd.DataFrame | None = None,
    capacity_threshold: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    title: str = "Decision curve",
) -> Figure:
    """Net benefit over the thresholds, one line per named model, with flagging everyone and no one.

    `band` is the interval of the first model's line (`net_benefit_band`).
    `capacity_threshold` is the predicted risk from which on as many are flagged as can be followed up.
    """
    figure, axes = new_figure(title, "Risk threshold", "Net benefit per admission", (6.2, 4.4))
    top = 0.0
    for position, ((name, probability), style) in enumerate(
        zip(models.items(), _line_styles(), strict=False)
    ):
        curve = net_benefit(label, probability, thresholds)
        if position == 0:
            axes.plot(
                curve["threshold"], curve["treat_all"], ":", color=GUIDE, linewidth=1.2, label="Flag everyone"
            )
            axes.axhline(0, color="black", linewidth=1, label="Flag no one")
            if band is not None:
                axes.fill_between(
                    band["threshold"],
                    band["low"],
                    band["high"],
                    color=MARKED,
                    alpha=0.18,
                    linewidth=0,
                    label=plain(f"{name}: 95 % band, patients resampled"),
                )
        axes.plot(curve["threshold"], curve["net_benefit"], label=plain(name), **style)
        top = max(top, float(curve[["net_benefit", "treat_all"]].max().max()))
    height = 1.1 * top if top > 0 else 0.05
    axes.set(ylim=(-0.25 * height, height), xlim=(0, max(thresholds)))
    if capacity_threshold is not None and capacity_threshold <= max(thresholds):
        axes.axvline(capacity_threshold, color="black", linestyle=(0, (1, 2)), linewidth=1.2)
        axes.annotate(
            f"capacity: {capacity_threshold:.2f}",
            (capacity_threshold, -0.22 * height),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
        )
    axes.legend(frameon=False, loc="upper right", fontsize=8)
    return figure


@drawing()
def amount_calibration_plot(
    actual: Vector, expected: Vector, *, unit: str, title: str = "Calibration by tenth"
) -> Figure:
    """Mean actual against mean predicted amount by tenth of the prediction; log axes if all are above 0.

    A mark is of at least 10 rows: there are fewer than ten of fewer than 100 rows.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = new_figure(title, f"Mean predicted ({unit})", f"Mean actual ({unit})", (5.2, 4.8))
    curve = _marks(bias_by_decile(actual, expected, n_bins=_n_marks(len(numbers(actual, "actual")))))
    means = curve[["mean_expected", "mean_actual"]].to_numpy()
    ends = [float(means.min()), float(means.max())] if len(means) else [0.0, 1.0]
    axes.plot(ends, ends, "--", color=GUIDE, linewidth=1, label="Ideal")
    axes.plot(
        curve["mean_expected"],
        curve["mean_actual"],
        "o-",
        color=MARKED,
        markersize=5,
        linewidth=1.2,
        label="Groups of equal size",
    )
    if ends[0] > 0:
        axes.set(xscale="log", yscale="log")
        few = (1.0, 2.0, 5.0) if ends[1] / ends[0] < 30 else (1.0, 3.0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=few))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if ends[0] >= 10 else "{x:,.2g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    return figure


@drawing()
def base_rate_plot(months: Sequence[Mapping[str, Any]], *, y_label: str, is_share: bool = False) -> Figure:
    """Rate of the outcome or mean amount by month, with the periods of the split.

    `months`: month (such as 2024-03), slice, value; withheld ones without value leave a gap. `is_share`
    writes the axis in per cent.
    """
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    figure, axes = new_figure("By month", "", y_label, (8.6, 3.2))
    # A month in which one period ends and the next begins has a point of each.
    names = sorted({entry["month"] for entry in months})
    for period, (colour, marker) in PERIODS.items():
        own = [entry for entry in months if entry["slice"] == period]
        places = [names.index(entry["month"]) for entry in own]
        values = [entry.get("value", float("nan")) for entry in own]
        if own:
            axes.plot(places, values, marker=marker, color=colour, markersize=4, linewidth=1.2, label=period)
    step = -(-len(names) // 10) or 1
    axes.set_xticks(range(0, len(names), step), names[::step])
    axes.set_ylim(bottom=0)
    if is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif axes.get_ylim()[1] >= 1000:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(frameon=False, loc="lower left", ncols=3, fontsize=8)
    return figure


@drawing()
def learning_curve_plot(steps: Sequence[Mapping[str, Any]], *, y_label: str) -> Figure:
    """The metric over the training rows, with its interval: n_rows, value, low, high of each step."""
    figure, axes = new_figure("Learning curve", "Training rows", y_label, (5.6, 3.4))
    n_rows = [step["n_rows"] for step in steps]
    axes.plot(n_rows, [step["value"] for step in steps], "o-", color=MARKED, markersize=4)
    if all(step.get("low") is not None and step.get("high") is not None for step in steps):
        ends = [step["low"] for step in steps], [step["high"] for step in steps]
        axes.fill_between(n_rows, *ends, color=MARKED, alpha=0.18, linewidth=0, label="95 % interval")
        axes.legend(frameon=False, loc="best", fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks(n_rows, [f"{n:,}" for n in n_rows], rotation=30, ha="right")
    axes.set_xticks([], minor=True)
    return figure


@drawing()
def tuning_plot(trials: Sequence[Mapping[str, Any]], score_name: str) -> Figure:
    """The score of each finished trial of a search, and the best so far; less is better.

    `trials`: number, score (None for one that was given up).
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure("Search of settings", "Trial", score_name, (5.6, 3.0))
    scored = [(trial["number"], trial["score"]) for trial in trials if trial.get("score") is not None]
    numbers, scores = zip(*scored, strict=True)
    axes.plot(numbers, scores, "o", color=COLOURS[0], markersize=4, label="trial")
    best = np.minimum.accumulate(scores)
    axes.step(numbers, best, where="post", color=COLOURS[6], linewidth=1.6, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="best", fontsize=8)
    return figure


@drawing()
def groups_plot(
    groups: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    title: str,
    x_label: str,
    overall: Mapping[str, Any] | None,
    ideal: float | None = None,
    is_share: bool = False,
) -> Figure:
    """A metric with its interval by group (forest plot).

    `groups` are entries of the results that are not withheld: group, level, n, metrics. The grey band is
    everyone's interval, the dashed line the ideal value. `is_share` writes the axis in per cent.
    """
    from matplotlib.ticker import PercentFormatter

    figure, axes = new_figure(title, x_label, "", (6.4, 1.1 + 0.24 * len(groups)))
    if overall is not None and overall.get("value") is not None:
        axes.axvline(overall["value"], color=GUIDE, linewidth=1.2, label="everyone")
        if overall.get("low") is not None and overall.get("high") is not None:
            axes.axvspan(overall["low"], overall["high"], color=GUIDE, alpha=0.18, linewidth=0)
    if ideal is not None:
        axes.axvline(ideal, color="black", linestyle="--", linewidth=1, label="ideal")
    names = []
    for place, group in enumerate(groups):
        found = group["metrics"].get(metric) or {}
        value, low, high = (found.get(end) for end in ("value", "low", "high"))
        names.append(plain(f"{group['group']}: {group['level']} (n {group['n']:,})"))
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=MARKED, linewidth=1.6)
        if value is not None:
            axes.plot([value], [place], "D", color=MARKED, markersize=5)
    if is_share:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(frameon=False, loc="outside upper right", ncols=2, fontsize=8)
    return figure


@drawing()
def pit_plot(shares: Sequence[float]) -> Figure:
    """Share of rows by where the actual amount falls in its predicted distribution; flat is ideal."""
    figure, axes = new_figure(
        "Where actual amounts fall in their predicted distribution",
        "Place in the predicted distribution (0 lowest, 1 highest)",
        "Share of rows",
        (5.6, 3.2),
    )
    width = 1 / len(shares)
    places = [width * (place + 0.5) for place in range(len(shares))]
    axes.bar(places, list(shares), width=0.92 * width, color=COLOURS[0])
    axes.axhline(width, color="black", linestyle="--", linewidth=1, label="Ideal")
    axes.set(xlim=(0, 1), ylim=(0, 1.25 * max(*shares, width)))
    axes.legend(frameon=False, loc="upper right", fontsize=8)
    return figure
