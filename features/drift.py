"""What changed: a data set's shape against an earlier one's, and from month to month within it.

Findings are for whoever answers for the extract: what differs, by how much, where, and what to do. They
decide nothing: a hospital may well have opened a ward.
"""

from __future__ import annotations

import calendar
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from features.shape import FEWEST_ROWS, QUANTILES, ColumnShape, Mix, Shape, TableShape

Kind = Literal[
    "table_new", "table_vanished", "column_new", "column_vanished", "value_new", "value_vanished", "rows",
    "missing", "mix", "numbers", "incomplete_end", "gap", "missing_jump", "mix_jump",
]  # fmt: skip
WHAT_TO_DO: dict[Kind, str] = {
    "table_new": "Look whether models that never saw it should be trained again.",
    "table_vanished": "Ask for the table: its features are missing without it.",
    "column_new": "Look whether models that never saw it should be trained again.",
    "column_vanished": "Ask for the column: what rests on it is missing without it.",
    "value_new": "Look whether it is a new ward, payer or code edition, or one that is mapped otherwise.",
    "value_vanished": "Look whether something was closed, recoded, or left out of the extract.",
    "rows": "Ask whether the extract is complete and covers the same hospitals and wards.",
    "missing": "Ask why the column is filled otherwise, and whether it still means the same.",
    "mix": "Ask what changed: the mapping, the coding edition, or who is treated.",
    "numbers": "Ask whether the unit, the price level or the method changed.",
    "incomplete_end": "Take the extract again later, or declare an earlier observed_until.",
    "gap": "Ask what happened in that month: records may be missing, or there twice.",
    "missing_jump": "Ask what changed in that month, such as the record system or a form.",
    "mix_jump": "Ask what changed in that month: a new coding edition, a new mapping, or who is treated.",
}

# Whoever is still in hospital came in the last weeks of any extract.
_OF_THE_LAST_DAY = {("stays", "status")}


@dataclass(frozen=True)
class DriftSettings:
    """From when on a difference is told; every one must also be more than chance (`chance`)."""

    rows: float = 0.10
    """Share by which the rows of a month that both extracts cover may differ: late coding and corrections."""
    monthly_rows: tuple[float, float] = (0.6, 1.6)
    """Rows of a month against its neighbours (or of a new month against the earlier extract's last year):
    holidays and the seasons move less than that."""
    missing: float = 0.05
    """Difference of the shares of missing values between extracts: one row in twenty."""
    missing_jump: float = 0.15
    """The same between the months before and after: single months vary more."""
    mix: float = 0.10
    """Jensen-Shannon distance (base 2, 0 to 1) of two mixes; 0.1 is about one row in ten in another place."""
    mix_jump: float = 0.20
    """The same between the months before and after, which also differ by season."""
    value: float = 0.01
    """Share from which a value that was not there before, or is no more, is named."""
    numbers: float = 0.5
    """Shift of the median in earlier interquartile ranges: no drift of years, but another unit or price."""
    chance: float = 4.0
    """How many times its expected size by chance (or standard errors) a difference must be."""
    months: int = 6
    """Months on each side of a jump."""


DEFAULT_DRIFT = DriftSettings()


@dataclass(frozen=True)
class Finding:
    """One difference: `month` where it is of one, `was` and `now` the two sides (share, rows or median)."""

    kind: Kind
    table: str
    column: str
    month: str
    was: float | None
    now: float | None
    text: str

    @property
    def what_to_do(self) -> str:
        """What whoever answers for the extract does about it."""
        return WHAT_TO_DO[self.kind]


def compared(now: Shape, was: Shape, settings: DriftSettings = DEFAULT_DRIFT) -> tuple[Finding, ...]:
    """The differences of a shape from an earlier one, by table and column."""
    found: list[Finding] = []
    for name in dict.fromkeys([*was.tables, *now.tables]):
        if name not in now.tables:
            n_rows = was.tables[name].n_rows
            text = f"{name}: the table is gone; it had {n_rows:,} rows"
            found.append(Finding("table_vanished", name, "", "", n_rows, None, text))
        elif name not in was.tables:
            n_rows = now.tables[name].n_rows
            text = f"{name}: the table is new, with {n_rows:,} rows"
            found.append(Finding("table_new", name, "", "", None, n_rows, text))
        else:
            found += _compared_table(name, now.tables[name], was.tables[name], settings)
    return tuple(found)


def jumps(shape: Shape, settings: DriftSettings = DEFAULT_DRIFT) -> tuple[Finding, ...]:
    """What changes from month to month within one extract, and whether its last month is complete."""
    found: list[Finding] = []
    for name, table in shape.tables.items():
        months = _months(table)
        found += _row_jumps(name, table, months, shape, settings)
        for column, described in table.columns.items():
            found += _missing_jump(name, column, described, months, table, settings)
            if (name, column) not in _OF_THE_LAST_DAY:
                found += _mix_jump(name, column, described, months, table.rows_per_patient, settings)
    return tuple(found)


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Jensen-Shannon distance of two mixes (base 2): 0 the same, 1 nothing in common."""
    from scipy.spatial.distance import jensenshannon

    if not sum(one.values()) or not sum(other.values()):
        return 0.0
    names = [*dict.fromkeys([*one, *other])]
    found = float(jensenshannon([one.get(n, 0) for n in names], [other.get(n, 0) for n in names], base=2))
    return 0.0 if math.isnan(found) else found  # what is equal but for rounding


def _compared_table(
    name: str, now: TableShape, was: TableShape, settings: DriftSettings
) -> Iterator[Finding]:
    yield from _compared_rows(name, now, was, settings)
    together = max(now.rows_per_patient, was.rows_per_patient)
    for column, described in now.columns.items():
        earlier = was.columns.get(column)
        if earlier is None or min(now.n_rows, was.n_rows) < FEWEST_ROWS:
            continue
        place = f"{name}.{column}"
        if (earlier.missing == 1) != (described.missing == 1):
            kind: Kind = "column_new" if earlier.missing == 1 else "column_vanished"
            said = (
                "holds values now and held none before" if earlier.missing == 1 else "holds no value any more"
            )
            yield Finding(
                kind, name, column, "", 1 - earlier.missing, 1 - described.missing, f"{place}: {said}"
            )
            continue
        error = _standard_error(
            earlier.missing, was.n_rows / together, described.missing, now.n_rows / together
        )
        change = abs(described.missing - earlier.missing)
        if change > max(settings.missing, settings.chance * error):
            text = f"{place}: {described.missing:.1%} of the rows have no value, {earlier.missing:.1%} before"
            yield Finding("missing", name, column, "", earlier.missing, described.missing, text)
        yield from _compared_mix(name, column, described.mix, earlier.mix, together, settings)
        yield from _compared_numbers(name, column, described.quantiles, earlier.quantiles, settings)


def _compared_rows(name: str, now: TableShape, was: TableShape, settings: DriftSettings) -> Iterator[Finding]:
    earlier, later = _months(was), _months(now)
    noise = _row_noise(was, settings)
    # The last month of an extract is seldom complete.
    for month in earlier[:-1]:
        before, after = was.rows_by_month.get(month, 0), now.rows_by_month.get(month, 0)
        if not later or month < later[0] or month > later[-1] or before < FEWEST_ROWS:
            continue
        if abs(after - before) > max(settings.rows * before, noise(before)):
            text = f"{name}: {after:,} rows in {month}, {before:,} before ({after / before - 1:+.0%})"
            yield Finding("rows", name, "", month, before, after, text)
    usual = median([was.rows_by_month.get(month, 0) for month in earlier[-13:-1]] or [0])
    low, high = settings.monthly_rows
    for month in later:
        after = now.rows_by_month.get(month, 0)
        # The last one is for `jumps`, which knows on which day the extract ends.
        if month <= (earlier[-1] if earlier else "") or month == later[-1] or usual < FEWEST_ROWS:
            continue
        if not low * usual - noise(usual) <= after <= high * usual + noise(usual):
            text = f"{name}: {after:,} rows in {month}, about {usual:,.0f} a month in the earlier extract"
            yield Finding("rows", name, "", month, usual, after, text)


def _compared_mix(
    name: str, column: str, now: Mix | None, was: Mix | None, together: float, settings: DriftSettings
) -> Iterator[Finding]:
    if now is None or was is None or min(now.total, was.total) < FEWEST_ROWS:
        return
    apart = _beyond_chance(now, was, settings.mix, settings.chance * together)
    if apart is not None:
        text = (
            f"{name}.{column}: another mix of values, Jensen-Shannon distance {apart:.2f}{_movers(now, was)}"
        )
        yield Finding("mix", name, column, "", 0.0, apart, text)
    for value in dict.fromkeys([*now.values, *was.values]):
        after, before = now.values.get(value, 0) / now.total, was.values.get(value, 0) / was.total
        # Rare ones are pooled: a value may have been there unnamed.
        if before == 0 and after >= settings.value + was.rest / was.total:
            text = (
                f"{name}.{column}: {_quoted(value)} has {after:.1%} of the rows and was rare or absent before"
            )
            yield Finding("value_new", name, column, "", before, after, text)
        elif after == 0 and before >= settings.value + now.rest / now.total:
            text = f"{name}.{column}: {_quoted(value)} had {before:.1%} of the rows and is rare or absent now"
            yield Finding("value_vanished", name, column, "", before, after, text)


def _compared_numbers(
    name: str, column: str, now: Sequence[float] | None, was: Sequence[float] | None, settings: DriftSettings
) -> Iterator[Finding]:
    if now is None or was is None:
        return
    low, middle, high = (was[QUANTILES.index(at)] for at in (0.25, 0.5, 0.75))
    after = now[QUANTILES.index(0.5)]
    # Where the quartiles coincide, a tenth of the value itself.
    if abs(after - middle) > settings.numbers * max(high - low, abs(middle) / 10):
        text = f"{name}.{column}: median {after:g}, {middle:g} before (quartiles {low:g} to {high:g})"
        yield Finding("numbers", name, column, "", middle, after, text)


def _row_jumps(
    name: str, table: TableShape, months: Sequence[str], shape: Shape, settings: DriftSettings
) -> Iterator[Finding]:
    low, high = settings.monthly_rows
    noise = _row_noise(table, settings)
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
        change, error = abs(now - was), _standard_error(was, n_before / together, now, n_after / together)
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
        apart = _beyond_chance(now, was, settings.mix_jump, settings.chance * together)
        if apart is not None and (best is None or apart > best[0]):
            best = apart, after[0], now, was
    if best is not None:
        apart, month, now, was = best
        text = (
            f"{name}.{column}: another mix of values from {month} on, Jensen-Shannon distance {apart:.2f}"
            f"{_movers(now, was)}"
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
    return Mix(values=dict(values), rest=sum(mix.total for mix in mixes) - sum(values.values()))


def _beyond_chance(now: Mix, was: Mix, least: float, chance: float) -> float | None:
    """The distance of two mixes if it is more than `least` and than chance makes it; None if not."""
    if min(now.total, was.total) < FEWEST_ROWS:
        return None
    apart = distance(now.values | {"": now.rest}, was.values | {"": was.rest})
    # Of two samples of one mix the divergence is about (k - 1)/8 × (1/n + 1/m) nats.
    k = len({*now.values, *was.values})
    by_chance = k / 8 * (1 / now.total + 1 / was.total) / math.log(2)
    return apart if apart**2 > max(least**2, chance * by_chance) else None


def _movers(now: Mix, was: Mix, most: int = 3) -> str:
    """The values that changed most, as words."""
    shares = {
        v: (was.values.get(v, 0) / was.total, now.values.get(v, 0) / now.total)
        for v in {*now.values, *was.values}
    }
    moved = sorted(shares.items(), key=lambda item: (-round(abs(item[1][1] - item[1][0]), 6), item[0]))[:most]
    words = [f"{_quoted(value)} {before:.1%} to {after:.1%}" for value, (before, after) in moved]
    return f" (most: {', '.join(words)})" if words else ""


def _quoted(value: str) -> str:
    return f"“{value[:40]}”"


def _row_noise(table: TableShape, settings: DriftSettings) -> Callable[[float], float]:
    """How far counts of rows that come several together may lie from an expected one by chance."""
    return lambda expected: settings.chance * math.sqrt(expected * table.rows_per_patient)


def _standard_error(one: float, n_one: float, other: float, n_other: float) -> float:
    pooled = (one * n_one + other * n_other) / (n_one + n_other)
    return math.sqrt(pooled * (1 - pooled) * (1 / n_one + 1 / n_other))


def _months(table: TableShape) -> list[str]:
    """Every month from the first with rows to the last, those without rows too."""
    if not table.rows_by_month:
        return []
    found, last = [min(table.rows_by_month)], max(table.rows_by_month)
    while found[-1] < last:
        year, month = divmod(int(found[-1][:4]) * 12 + int(found[-1][5:]), 12)
        found.append(f"{year:04}-{month + 1:02}")
    return found
