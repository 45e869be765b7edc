"""What changed: a data set's shape against an earlier one's.

Findings are for whoever answers for the extract: what differs, by how much, where, and what to do. They
decide nothing: a hospital may well have opened a ward.
"""

from __future__ import annotations

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
    quoted,
    row_noise,
    standard_error,
)
from features.quality.shape import FEWEST_ROWS, QUANTILES, Mix, Shape, TableShape

MANY_MONTHS = 4
"""Months with another number of rows that are told as one."""


def compared(now: Shape, was: Shape, settings: DriftSettings = DEFAULT_DRIFT) -> tuple[Finding, ...]:
    """The differences of a shape from an earlier one: what is declared first, then by table and column."""
    found = list(_compared_meaning(now, was))
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


def _compared_meaning(now: Shape, was: Shape) -> Iterator[Finding]:
    if now.meaning is None or was.meaning is None:
        return
    earlier = was.meaning.model_dump()
    for name, value in now.meaning.model_dump().items():
        if value != earlier[name]:
            text = (
                f"dataset.toml: {name} is {value or 'not declared'}, {earlier[name] or 'not declared'} before"
            )
            yield Finding("declaration", "dataset.toml", name, "", None, None, text)


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
        error = standard_error(
            earlier.missing, was.n_rows / together, described.missing, now.n_rows / together
        )
        change = abs(described.missing - earlier.missing)
        if change > max(settings.missing, settings.chance * error):
            text = f"{place}: {described.missing:.1%} of the rows have no value, {earlier.missing:.1%} before"
            yield Finding("missing", name, column, "", earlier.missing, described.missing, text)
        yield from _compared_mix(name, column, described.mix, earlier.mix, together, settings)
        yield from _compared_numbers(name, column, described.quantiles, earlier.quantiles, settings)


def _compared_rows(name: str, now: TableShape, was: TableShape, settings: DriftSettings) -> Iterator[Finding]:
    earlier, later = months_of(was), months_of(now)
    noise = row_noise(was, settings)
    found: list[Finding] = []
    # The last month of an extract is seldom complete.
    for month in earlier[:-1]:
        before, after = was.rows_by_month.get(month, 0), now.rows_by_month.get(month, 0)
        if not later or month < later[0] or month > later[-1] or before < FEWEST_ROWS:
            continue
        if abs(after - before) > max(settings.rows * before, noise(before)):
            text = f"{name}: {after:,} rows in {month}, {before:,} before ({after / before - 1:+.0%})"
            found.append(Finding("rows", name, "", month, before, after, text))
    yield from _in_few_words(name, found, "before")
    usual = median([was.rows_by_month.get(month, 0) for month in earlier[-13:-1]] or [0])
    low, high = settings.monthly_rows
    found = []
    for month in later:
        after = now.rows_by_month.get(month, 0)
        # The last one is for `jumps`, which knows on which day the extract ends.
        if month <= (earlier[-1] if earlier else "") or month == later[-1] or usual < FEWEST_ROWS:
            continue
        if not low * usual - noise(usual) <= after <= high * usual + noise(usual):
            text = f"{name}: {after:,} rows in {month}, about {usual:,.0f} a month in the earlier extract"
            found.append(Finding("rows", name, "", month, usual, after, text))
    yield from _in_few_words(name, found, "by the months of the earlier extract")


def _in_few_words(name: str, found: Sequence[Finding], than: str) -> Iterator[Finding]:
    """The months one by one where they are few; else one finding for those with more, or with fewer."""
    for is_more in (True, False):
        months = [each for each in found if ((each.now or 0) > (each.was or 0)) == is_more]
        if len(months) < MANY_MONTHS:
            continue
        found = [each for each in found if each not in months]
        before, after = sum(each.was or 0 for each in months), sum(each.now or 0 for each in months)
        first, last = months[0].month, months[-1].month
        text = (
            f"{name}: about {after / before:.1f} times as many rows in {len(months)} months, from {first} "
            f"to {last} ({after:,.0f}, {before:,.0f} {than})"
        )
        yield Finding("rows", name, "", first, before, after, text)
    yield from found


def _compared_mix(
    name: str, column: str, now: Mix | None, was: Mix | None, together: float, settings: DriftSettings
) -> Iterator[Finding]:
    if now is None or was is None or min(now.total, was.total) < FEWEST_ROWS:
        return
    apart = beyond_chance(now, was, settings.mix, settings.chance * together)
    if apart is not None:
        text = (
            f"{name}.{column}: another mix of values, Jensen-Shannon distance {apart:.2f}{movers(now, was)}"
        )
        yield Finding("mix", name, column, "", 0.0, apart, text)
    for value in dict.fromkeys([*now.values, *was.values]):
        after, before = now.values.get(value, 0) / now.total, was.values.get(value, 0) / was.total
        # Rare ones are pooled: a value may have been there unnamed.
        if before == 0 and after >= settings.value + was.rest / was.total:
            text = (
                f"{name}.{column}: {quoted(value)} has {after:.1%} of the rows and was rare or absent before"
            )
            yield Finding("value_new", name, column, "", before, after, text)
        elif after == 0 and before >= settings.value + now.rest / now.total:
            text = f"{name}.{column}: {quoted(value)} had {before:.1%} of the rows and is rare or absent now"
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
