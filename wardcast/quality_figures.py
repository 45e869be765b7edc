"""The pictures of the quality page, as inline SVG: rows, missing values and mix of codes by month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from features.page import picture
from features.pictures import COLOURS, drawing, inline_svg, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from features.quality.shape import Mix, Shape, TableShape

_MOST_COLUMNS, _MOST_GROUPS, _MOST_TICKS = 40, 8, 8


def pictures(shape: Shape) -> Iterator[str]:
    """Headings and figures; nothing for a data set without months."""
    dated = {name: table for name, table in shape.tables.items() if len(table.rows_by_month) > 1}
    if not dated:
        return
    with drawing():
        yield "<h2>Rows by month</h2>"
        yield _figure(_rows_figure(dated), _rows_words(dated))
        full = _partly_missing(dated)
        if full:
            yield "<h2>Missing values by month</h2>"
            words = ", ".join(full)
            yield _figure(
                _missing_figure(full), f"Share of rows without a value by month, darker is more: {words}."
            )
        for name in ("diagnoses", "procedures"):
            mixes = dated[name].columns["code_1"].mix_by_month if name in dated else {}
            if any(mix.total for mix in mixes.values()):
                yield f"<h2>Mix of {name} by month</h2>"
                groups = _groups(mixes)
                words = f"Share of the rows of {name} by month and first character of the code"
                yield _figure(_mix_figure(mixes, groups), f"{words}: {', '.join(groups)}, and the rest.")


def declared_columns(table: str) -> frozenset[str]:
    """The columns of the data contract: the shape describes others too, such as beginnings of codes."""
    from features.tables import TABLES

    return frozenset(TABLES[table].by_name)


def _figure(figure: Figure, words: str) -> str:
    return picture(inline_svg(figure, words), words)


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def _rows_figure(tables: Mapping[str, TableShape]) -> Figure:
    n_rows = -(-len(tables) // 2)
    figure = _new_figure(9, 1.6 * n_rows + 0.3)
    axes = figure.subplots(n_rows, 2, squeeze=False)
    for place, (name, table) in enumerate(tables.items()):
        axis = axes[place // 2][place % 2]
        months = list(table.rows_by_month)
        axis.bar(range(len(months)), list(table.rows_by_month.values()), color=COLOURS[0], width=0.9)
        axis.set_title(name, loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        _month_ticks(axis, months, most=6)
    for place in range(len(tables), 2 * n_rows):
        axes[place // 2][place % 2].set_visible(False)
    return figure


def _rows_words(tables: Mapping[str, TableShape]) -> str:
    words = [
        f"{name} from {min(table.rows_by_month.values()):,} to {max(table.rows_by_month.values()):,}"
        for name, table in tables.items()
    ]
    return f"Kept rows of each table by month of what they tell of: {'; '.join(words)} rows a month."


def _partly_missing(tables: Mapping[str, TableShape]) -> dict[str, Mapping[str, float]]:
    """The columns that vary most between months, in the order of the tables."""
    found: dict[str, Mapping[str, float]] = {
        f"{name}.{column}": described.missing_by_month
        for name, table in tables.items()
        for column, described in table.columns.items()
        if 0 < described.missing < 1 and described.missing_by_month and column in declared_columns(name)
    }
    spread = {name: max(shares.values()) - min(shares.values()) for name, shares in found.items()}
    kept = sorted(found, key=lambda name: (-spread[name], name))[:_MOST_COLUMNS]
    return {name: shares for name, shares in found.items() if name in kept}


def _missing_figure(columns: Mapping[str, Mapping[str, float]]) -> Figure:
    from matplotlib import colormaps

    months = sorted({month for shares in columns.values() for month in shares})
    figure = _new_figure(9, 0.22 * len(columns) + 1.2)
    axis = figure.subplots()
    # Ten steps: more would be drawn as an image of points.
    shades = colormaps["Blues"].resampled(10)
    values = [[shares.get(month, float("nan")) for month in months] for shares in columns.values()]
    mesh = axis.pcolormesh(values, cmap=shades, vmin=0, vmax=1)
    axis.set_yticks([place + 0.5 for place in range(len(columns))], list(columns))
    axis.invert_yaxis()
    _month_ticks(axis, months, most=_MOST_TICKS, offset=0.5)
    figure.colorbar(mesh, ax=axis, label="share missing")
    return figure


def _groups(mixes: Mapping[str, Mix]) -> list[str]:
    """The most frequent groups of all months, the first ones first."""
    totals: dict[str, int] = {}
    for mix in mixes.values():
        for value, n in mix.values.items():
            totals[value] = totals.get(value, 0) + n
    return sorted(totals, key=lambda value: (-totals[value], value))[:_MOST_GROUPS]


def _mix_figure(mixes: Mapping[str, Mix], groups: Sequence[str]) -> Figure:
    figure = _new_figure(9, 3.2)
    axis = figure.subplots()
    months = [month for month, mix in mixes.items() if mix.total]
    lower = [0.0] * len(months)
    for name, colour in zip([*groups, ""], COLOURS[: len(groups)] + COLOURS[-1:], strict=True):
        shares = []
        for month in months:
            mix = mixes[month]
            named = sum(mix.values.get(group, 0) for group in groups)
            shares.append((mix.values.get(name, 0) if name else mix.total - named) / mix.total)
        axis.bar(
            range(len(months)), shares, bottom=lower, color=colour, width=1, label=plain(name) or "the rest"
        )
        lower = [low + share for low, share in zip(lower, shares, strict=True)]
    axis.set_ylim(0, 1)
    axis.set_ylabel("share of rows")
    _month_ticks(axis, months, most=_MOST_TICKS)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _month_ticks(axis: object, months: Sequence[str], *, most: int, offset: float = 0.0) -> None:
    step = -(-len(months) // most) or 1
    places = range(0, len(months), step)
    axis.set_xticks([place + offset for place in places], [months[place] for place in places])  # type: ignore[attr-defined]
