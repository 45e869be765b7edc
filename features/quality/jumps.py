"""What changes from month to month within one data set, by its shape."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from features.quality.differences import (
    DEFAULT_DRIFT,
    DriftSettings,
    Finding,
    Kind,
    beyond_chance,
    months_of,
    movers,
    row_noise,
    standard_error,
)
from features.quality.shape import FEWEST_ROWS, ColumnShape, Mix, Shape, TableShape

# Whoever is still in hospital came in the last weeks of any extract.
_OF_THE_LAST_DAY = {("stays", "status")}


def jumps(shape: Shape, settings: DriftSettings = DEFAULT_DRIFT) -> tuple[Finding, ...]:
    """What changes from month to month within one extract, and whether its last month is complete."""
    found: list[Finding] = []
    for name, table in shape.tables.items():
        months = months_of(table)
        found += _row_jumps(name, table, months, shape, settings)
        for column, described in table.columns.items():
            found += _missing_jump(name, column, described, months, table, settings)
            if (name, column) not in _OF_THE_LAST_DAY:
                found += _mix_jump(name, column, described, months, table.rows_per_patient, settings)
    return tuple(found)


def _row_jumps(
    name: str, table: TableShape, months: Sequence[str], shape: Shape, settings: DriftSettings
) -> Iterator[Finding]:
    low, high = settings.monthly_rows
    noise = row_noise(table, settings)
    for place, month in enumerate(months):
        beside = [
            *months[max(0, place - settings.months) : place],
            *months[place + 1 : place + 1 + settings.months],
        ]
        usual = median([table.rows_by_month.get(other, 0) for other in beside] or [0])
        if len(beside) < settings.months or usual < FEWEST_ROWS:
            continue
        rows, is_last = table.rows_by_month.get(month, 0), place == len(months) - 1
        expected = usual * (_share_observed(month, shape) if is_last else 1)
        if rows < low * expected - noise(expected):
            kind: Kind = "incomplete_end" if is_last else "gap"
            text = f"{name}: {rows:,} rows in {month}, about {expected:,.0f} expected by the months beside it"
            yield Finding(kind, name, "", month, expected, rows, text)
        elif rows > high * expected + noise(expected) and place > 0:
            text = f"{name}: {rows:,} rows in {month}, about {expected:,.0f} expected by the months beside it"
            yield Finding("gap", name, "", month, expected, rows, text)


def _share_observed(month: str, shape: Shape) -> float:
    """Share of the extract's last month that was observed."""
    until = shape.observed_until
    if until is None or f"{until:%Y-%m}" != month:
        return 1.0
    return until.day / calendar.monthrange(until.year, until.month)[1]


def _missing_jump(
    name: str,
    column: str,
    described: ColumnShape,
    months: Sequence[str],
    table: TableShape,
    settings: DriftSettings,
) -> Iterator[Finding]:
    """The month of the greatest change of the missing share, if it is one."""
    share, rows, together = described.missing_by_month, table.rows_by_month, table.rows_per_patient
    best: tuple[float, str, float, float] | None = None
    for before, after in _sides([month for month in months if month in share], settings.months):
        n_before, n_after = (sum(rows[month] for month in side) for side in (before, after))
        was = sum(share[month] * rows[month] for month in before) / n_before
        now = sum(share[month] * rows[month] for month in after) / n_after
        change, error = abs(now - was), standard_error(was, n_before / together, now, n_after / together)
        if change > max(settings.missing_jump, settings.chance * error) and (
            best is None or change > best[0]
        ):
            best = change, after[0], was, now
    if best is not None:
        _, month, was, now = best
        text = f"{name}.{column}: from {month} on {now:.1%} of the rows have no value, {was:.1%} before"
        yield Finding("missing_jump", name, column, month, was, now, text)


def _mix_jump(
    name: str,
    column: str,
    described: ColumnShape,
    months: Sequence[str],
    together: float,
    settings: DriftSettings,
) -> Iterator[Finding]:
    """The month of the greatest change of the mix, if it is one."""
    best: tuple[float, str, Mix, Mix] | None = None
    known = [month for month in months if month in described.mix_by_month]
    for before, after in _sides(known, settings.months):
        sides = [[described.mix_by_month[month] for month in side] for side in (before, after)]
        pooled = _often_hidden(sides)
        was, now = (_together(side, pooled) for side in sides)
        apart = beyond_chance(now, was, settings.mix_jump, settings.chance * together)
        if apart is not None and (best is None or apart > best[0]):
            best = apart, after[0], now, was
    if best is not None:
        apart, month, now, was = best
        text = (
            f"{name}.{column}: another mix of values from {month} on, Jensen-Shannon distance {apart:.2f}"
            f"{movers(now, was)}"
        )
        yield Finding("mix_jump", name, column, month, 0.0, apart, text)


def _sides(months: Sequence[str], width: int) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Every place between two months with three or more months, at most `width`, on each side."""
    for place in range(3, len(months) - 2):
        yield months[max(0, place - width) : place], months[place : place + width]


def _often_hidden(sides: Sequence[Sequence[Mix]]) -> set[str]:
    """The values that are hidden in more than one month of a side: how many there are is not known."""
    counts = [Counter(value for mix in side for value in mix.hidden) for side in sides]
    return {value for count in counts for value, n in count.items() if n > 1}


def _together(mixes: Sequence[Mix], pooled: set[str]) -> Mix:
    """The mix of several months, without the values to pool."""
    values: Counter[str] = Counter()
    for mix in mixes:
        values.update({value: n for value, n in mix.values.items() if value not in pooled})
    hidden = {value for mix in mixes for value in mix.hidden}
    rest = sum(mix.total for mix in mixes) - sum(values.values())
    return Mix(values=dict(values), rest=rest, hidden=tuple(sorted(hidden)))
