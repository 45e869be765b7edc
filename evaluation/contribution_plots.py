"""Contributions of features in pictures that show no single patient: every mark is a group of rows.

Contributions are on the model's own scale and are associations: they describe the model, not biology.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluation.plots import GUIDE, MARKED, new_figure
from features.pictures import COLOURS, drawing, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST_GROUP = 10
"""Rows behind a mark, at least."""
MOST_MARKS = 100
"""In one row of the beeswarm."""
MOST_SHOWN, MOST_DEPENDENCES = 10, 6
"""Features of the beeswarm and of the dependence plots, the strongest."""
MOST_STEPS = 20
"""In one dependence plot."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contributed:
    """One feature over some rows: name, label, unit, values (NaN missing), contributions, category levels.

    A value of a category is its level's place.
    """

    name: str
    label: str
    unit: str
    values: Floats
    contributions: Floats
    levels: tuple[str, ...] = ()

    @property
    def strength(self) -> float:
        """Mean absolute contribution."""
        return float(np.abs(self.contributions).mean()) if len(self.contributions) else 0.0


def groups_in_order(
    key: Floats, smallest: int = SMALLEST_GROUP, most: int = MOST_MARKS
) -> list[NDArray[np.intp]]:
    """Positions of rows in groups by ascending `key`: at least `smallest` rows each, at most `most` groups.

    The rows' order decides among equal keys. Fewer rows than one group give none.
    """
    n_groups = min(most, len(key) // smallest)
    return list(np.array_split(np.argsort(key, kind="stable"), n_groups)) if n_groups else []


def steps_of(
    values: Floats, smallest: int = SMALLEST_GROUP, most: int = MOST_STEPS
) -> list[NDArray[np.intp]]:
    """Positions of the rows with a value in groups of neighbouring values, each of at least `smallest` rows.

    Equal values stay together, so that a count of admissions is a group of its own where it is frequent.
    """
    known = np.flatnonzero(~np.isnan(values))
    wanted = max(smallest, -(-len(known) // most))
    ordered = known[np.argsort(values[known], kind="stable")]
    ends = np.flatnonzero(np.diff(values[ordered])) + 1
    groups, first = [], 0
    for end in ends:
        if end - first >= wanted and len(ordered) - end >= smallest:
            groups.append(ordered[first:end])
            first = int(end)
    rest = ordered[first:]
    return [*groups, rest] if len(rest) >= smallest else groups


@drawing()
def beeswarm_plot(features: Sequence[Contributed], *, x_label: str) -> Figure:
    """The strongest features' contributions, one mark for each 10 rows or more of like contribution.

    A mark lies at its rows' mean contribution; its colour is their mean place among the feature's values,
    from low to high. Grey: a category, or a value missing in most of the group.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    shown = sorted(features, key=lambda feature: -feature.strength)[:MOST_SHOWN]
    figure, axes = new_figure("What moves the prediction", x_label, "", (7.6, 1.2 + 0.42 * len(shown)))
    # Without its palest end, which white paper swallows.
    shades = ListedColormap(colormaps["viridis"](np.linspace(0, 0.93, 12)))
    axes.axvline(0, color=GUIDE, linewidth=1)
    for place, feature in enumerate(shown):
        groups = groups_in_order(feature.contributions)
        x = np.array([feature.contributions[rows].mean() for rows in groups])
        ranks = np.full(len(feature.values), np.nan) if feature.levels else _ranks(feature.values)
        shares = [_mean_of_most(ranks[rows]) for rows in groups]
        colours = [GUIDE if np.isnan(share) else shades(share) for share in shares]
        axes.scatter(x, place + _spread(x), c=colours, s=13, linewidths=0)
    axes.set_yticks(range(len(shown)), [plain(feature.label) for feature in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    bar = figure.colorbar(ScalarMappable(cmap=shades), ax=axes, aspect=30, pad=0.02)
    bar.set_ticks([0.04, 0.96], labels=["low", "high"])
    bar.set_label("value (grey: category or missing)")
    bar.outline.set_visible(False)
    return figure


@drawing()
def dependence_plot(features: Sequence[Contributed], *, y_label: str) -> Figure:
    """The strongest features' contribution over their value: mean and middle half of 10 rows or more.

    Levels of a category, and rows without a value, stand apart; those of fewer than 10 rows are not shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = sorted(features, key=lambda feature: -feature.strength)[:MOST_DEPENDENCES]
    n_lines = -(-len(shown) // 2)
    figure = Figure(figsize=(8.6, 2.5 * n_lines), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(n_lines, 2, squeeze=False)
    for place, axes in enumerate(grid.ravel()):
        if place >= len(shown):
            axes.set_visible(False)
            continue
        (_levels if shown[place].levels else _steps)(axes, shown[place])
        axes.set_title(plain(shown[place].label), loc="left", fontsize=9, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel(y_label, fontsize=9)
    return figure


def _steps(axes: Axes, feature: Contributed) -> None:
    axes.axhline(0, color=GUIDE, linewidth=1)
    groups = steps_of(feature.values)
    x = [feature.values[rows].mean() for rows in groups]
    low, middle, high = _summary(feature.contributions, groups)
    axes.fill_between(x, low, high, color=MARKED, alpha=0.18, linewidth=0)
    axes.plot(x, middle, "o-", color=MARKED, markersize=3, linewidth=1.2)
    without = np.flatnonzero(np.isnan(feature.values))
    if len(without) >= SMALLEST_GROUP and x:
        mean = float(feature.contributions[without].mean())
        gap = (x[-1] - x[0]) * 0.08 or 0.5
        axes.plot([x[0] - gap], [mean], "X", color=COLOURS[6], markersize=7, label="missing")
        axes.legend(frameon=False, loc="best", fontsize=8)
    axes.set_xlabel(plain(feature.unit))


def _levels(axes: Axes, feature: Contributed) -> None:
    axes.axvline(0, color=GUIDE, linewidth=1)
    names = {level: np.flatnonzero(feature.values == place) for place, level in enumerate(feature.levels)}
    names["missing"] = np.flatnonzero(np.isnan(feature.values))
    enough = {level: rows for level, rows in names.items() if len(rows) >= SMALLEST_GROUP}
    order = sorted(enough, key=lambda level: (-len(enough[level]), level))[:8]
    order.sort(key=lambda level: -float(feature.contributions[enough[level]].mean()))
    low, middle, high = _summary(feature.contributions, [enough[level] for level in order])
    for place in range(len(order)):
        axes.plot([low[place], high[place]], [place, place], color=MARKED, alpha=0.35, linewidth=4)
    axes.plot(middle, range(len(order)), "o", color=MARKED, markersize=4)
    axes.set_yticks(range(len(order)), [plain(_cut(level)) for level in order], fontsize=7)
    axes.set_ylim(len(order) - 0.5, -0.5)


def _summary(contributions: Floats, groups: Sequence[NDArray[np.intp]]) -> tuple[Floats, Floats, Floats]:
    """Lower quartile, mean and upper quartile of each group."""
    low = np.array([np.quantile(contributions[rows], 0.25) for rows in groups])
    high = np.array([np.quantile(contributions[rows], 0.75) for rows in groups])
    return low, np.array([contributions[rows].mean() for rows in groups]), high


def _ranks(values: Floats) -> Floats:
    """Each value's place among the values, 0 to 1, equal ones the same; NaN where missing."""
    from scipy.stats import rankdata

    result = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    n_known = int(known.sum())
    if n_known > 1:
        result[known] = (rankdata(values[known]) - 1) / (n_known - 1)
    return result


def _mean_of_most(ranks: Floats) -> float:
    """The mean where at least half are known, else NaN."""
    known = ranks[~np.isnan(ranks)]
    return float(known.mean()) if 2 * len(known) >= len(ranks) and len(known) else float("nan")


def _spread(x: Floats, n_bins: int = 60) -> Floats:
    """Heights that keep marks of like `x` apart, within 0.4 of the middle."""
    if not len(x):
        return x
    width = (float(x.max()) - float(x.min())) / n_bins or 1.0
    bins = ((x - x.min()) / width).astype(int)
    seen: dict[int, int] = {}
    heights = np.zeros(len(x))
    for place, number in enumerate(bins):
        nth = seen.get(int(number), 0)
        seen[int(number)] = nth + 1
        heights[place] = 0.055 * ((nth + 1) // 2) * (1 if nth % 2 else -1)
    return np.clip(heights, -0.4, 0.4)


def _cut(text: str, longest: int = 32) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
