"""Pictures of the measures, as matplotlib figures that know nothing of a screen: save them with `savefig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluation.amounts import bias_by_decile
from evaluation.arrays import Vector, labels, probabilities
from evaluation.calibration import calibration_curve, smooth_calibration
from evaluation.decisions import net_benefit
from evaluation.discrimination import auroc, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKED = "#0b5394"
GUIDE = "#888888"


def _figure(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def calibration_plot(
    label: Vector, probability: Vector, *, title: str = "Calibration", n_bins: int = 10
) -> Figure:
    """Observed share against predicted risk: groups of equal size with intervals, and the smooth curve."""
    outcome, predicted = labels(label), probabilities(probability)
    figure, axes = _figure(title, "Predicted risk", "Observed share")
    curve = calibration_curve(outcome, predicted, n_bins=n_bins)
    smooth = smooth_calibration(outcome, predicted)
    order = np.argsort(predicted, kind="stable")
    # The outer hundredths of the predictions hold too few rows for a curve worth seeing.
    shown = order[len(order) // 100 : max(len(order) - len(order) // 100, 1)]
    limit = min(1.0, 1.05 * float(max(curve["high"].max(), predicted[shown].max())))
    axes.plot([0, limit], [0, limit], "--", color=GUIDE, linewidth=1, label="Ideal")
    axes.plot(predicted[shown], smooth[shown], color=MARKED, linewidth=1.5, label="Smoothed")
    reach = [curve["observed_share"] - curve["low"], curve["high"] - curve["observed_share"]]
    axes.errorbar(
        curve["mean_predicted"],
        curve["observed_share"],
        yerr=np.clip(reach, 0, None),
        fmt="o",
        color=MARKED,
        markersize=4,
        linewidth=1,
        label="Groups of equal size, 95 % interval",
    )
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    axes.legend(frameon=False, loc="upper left")
    return figure


def roc_plot(label: Vector, scores: Mapping[str, Vector], *, title: str = "ROC curve") -> Figure:
    """Sensitivity against the share of false alarms, one line per named score, with its AUROC."""
    figure, axes = _figure(title, "False alarms among rows without the outcome", "Sensitivity")
    axes.plot([0, 1], [0, 1], "--", color=GUIDE, linewidth=1, label="Chance")
    for name, score in scores.items():
        curve = roc_curve(label, score)
        text = f"{name}: AUROC {auroc(label, score):.3f}"
        axes.plot(curve["false_positive_share"], curve["sensitivity"], linewidth=1.5, label=text)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False, loc="lower right")
    return figure


def decision_curve_plot(
    label: Vector,
    models: Mapping[str, Vector],
    *,
    thresholds: Sequence[float] = tuple(np.arange(0.01, 0.51, 0.01).tolist()),
    title: str = "Decision curve",
) -> Figure:
    """Net benefit over the thresholds, one line per named model, with flagging everyone and no one."""
    figure, axes = _figure(title, "Risk threshold", "Net benefit per admission")
    top = 0.0
    for position, (name, probability) in enumerate(models.items()):
        curve = net_benefit(label, probability, thresholds)
        if position == 0:
            axes.plot(
                curve["threshold"], curve["treat_all"], "--", color=GUIDE, linewidth=1, label="Flag everyone"
            )
            axes.axhline(0, color="black", linewidth=1, label="Flag no one")
        axes.plot(curve["threshold"], curve["net_benefit"], linewidth=1.5, label=name)
        top = max(top, float(curve[["net_benefit", "treat_all"]].max().max()))
    axes.set_ylim(-0.25 * top if top > 0 else -0.05, 1.1 * top if top > 0 else 0.05)
    axes.legend(frameon=False, loc="upper right")
    return figure


def amount_calibration_plot(
    actual: Vector, expected: Vector, *, currency: str, title: str = "Calibration of cost", n_bins: int = 10
) -> Figure:
    """Mean actual against mean predicted cost by decile of the prediction; log axes if all are above 0."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = _figure(title, f"Mean predicted cost ({currency})", f"Mean actual cost ({currency})")
    curve = bias_by_decile(actual, expected, n_bins=n_bins)
    means = curve[["mean_expected", "mean_actual"]].to_numpy()
    ends = [float(means.min()), float(means.max())]
    axes.plot(ends, ends, "--", color=GUIDE, linewidth=1, label="Ideal")
    axes.plot(
        curve["mean_expected"],
        curve["mean_actual"],
        "o-",
        color=MARKED,
        markersize=4,
        linewidth=1,
        label="Deciles",
    )
    if ends[0] > 0:
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, loc="upper left")
    return figure
