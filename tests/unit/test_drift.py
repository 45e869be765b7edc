"""Drift of a data set's shape: what is told, what is left to chance."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import pytest

from features.ingest import ingest
from features.quality.check import check
from features.quality.differences import WHAT_TO_DO, Finding, distance
from features.quality.drift import compared
from features.quality.jumps import jumps
from features.quality.shape import ColumnShape, Meaning, Mix, Shape, TableShape
from tests.unit.test_shape import folder_of

MONTHS = [f"{year}-{month:02}" for year in (2023, 2024) for month in range(1, 13)]


def shape(rows: dict[str, int] | None = None, until: str = "2024-12-31", **columns: ColumnShape) -> Shape:
    """A data set of one table, stays; without `rows` it has 1,000 in each month of 2023 and 2024."""
    rows = dict.fromkeys(MONTHS, 1000) if rows is None else rows
    n = sum(rows.values())
    table = TableShape(n_rows=n, n_patients=n, rows_by_month=rows, patients_by_month=rows, columns=columns)
    return Shape(observed_until=dt.date.fromisoformat(until), tables={"stays": table})


def told(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.column, finding.month) for finding in findings]


def mixed(values: dict[str, int], rest: int = 0) -> ColumnShape:
    return ColumnShape(missing=0.0, mix=Mix(values=values, rest=rest))


def test_the_distance_is_that_of_jensen_and_shannon() -> None:
    # Nothing in common: 1. Half in common: m = (3/4, 1/4), so the divergence is
    # 1/2 log2(1 / (3/4)) + 1/2 (1/2 log2((1/2) / (3/4)) + 1/2 log2((1/2) / (1/4))) = 0.31128.
    assert distance({"a": 5}, {"b": 7}) == pytest.approx(1)
    assert distance({"a": 5}, {"a": 7, "b": 7}) == pytest.approx(math.sqrt(0.3112781), abs=1e-6)
    assert distance({"a": 1, "b": 3}, {"a": 10, "b": 30}) == pytest.approx(0, abs=1e-7)
    assert distance({}, {"a": 1}) == 0


def test_a_data_set_has_not_drifted_from_itself() -> None:
    same = shape(payer=mixed({"city": 20_000, "state": 4_000}))
    assert compared(same, same) == ()
    assert jumps(same) == ()


def test_tables_and_columns_that_come_and_go_are_named() -> None:
    was = shape(payer=mixed({"city": 24_000}), route=ColumnShape(missing=1.0))
    now = Shape(
        observed_until=was.observed_until,
        tables={
            "stays": was.tables["stays"].model_copy(
                update={"columns": {"payer": ColumnShape(missing=1.0), "route": ColumnShape(missing=0.5)}}
            ),
            "visits": TableShape(n_rows=5, n_patients=5, rows_by_month={}, patients_by_month={}, columns={}),
        },
    )
    assert told(compared(now, was)) == [
        ("column_vanished", "payer", ""),
        ("column_new", "route", ""),
        ("table_new", "", ""),
    ]
    assert told(compared(was, now))[-1] == ("table_vanished", "", "")


def test_rows_of_months_that_both_cover_may_differ_by_late_corrections_alone() -> None:
    # Limits: a tenth, 100 of 1,000, and 4 standard errors, 4 × √1000 = 126.5.
    for change, found in ((-126, []), (-127, [("rows", "", "2023-05")]), (127, [("rows", "", "2023-05")])):
        rows = dict.fromkeys(MONTHS, 1000) | {"2023-05": 1000 + change}
        assert told(compared(shape(rows), shape())) == found
    # What was the last month was not complete, and what lies outside cannot be compared.
    later = dict.fromkeys(MONTHS[6:], 1000) | {"2024-12": 2000}
    assert told(compared(shape(later), shape())) == []


def test_new_months_are_held_against_the_last_year() -> None:
    was = shape(dict.fromkeys(MONTHS[:18], 1000), until="2024-06-30")
    # 0.6 × 1000 − 4 × √1000 = 473.5; 1.6 × 1000 + 126.5 = 1726.5. December is for the look at the end.
    rows = dict.fromkeys(MONTHS, 1000) | {
        "2024-08": 474,
        "2024-09": 473,
        "2024-10": 1726,
        "2024-11": 1727,
        "2024-12": 9,
    }
    assert told(compared(shape(rows), was)) == [("rows", "", "2024-09"), ("rows", "", "2024-11")]


def test_another_share_of_missing_values_is_told_beyond_five_points_and_chance() -> None:
    def against(now: float, n_now: int = 24_000) -> list[tuple[str, str, str]]:
        few = shape({"2025-01": n_now}, payer=ColumnShape(missing=now))
        return told(compared(few, shape(payer=ColumnShape(missing=0.10))))

    assert against(0.149) == []
    assert against(0.151) == [("missing", "payer", "")]
    # Of 100 rows the standard error is √(0.1 × 0.9 / 100) = 0.03: 0.20 is within 4 of them, 0.25 is not.
    assert against(0.20, 100) == []
    assert against(0.25, 100) == [("missing", "payer", "")]
    assert against(0.9, 49) == []


def test_another_mix_is_told_with_what_moved_most() -> None:
    was = shape(payer=mixed({"city": 12_000, "state": 12_000}))
    slightly, clearly = ({"city": 14_000, "state": 10_000}, {"city": 16_000, "state": 8_000})
    # Shares of 58 to 42 against 50 to 50 are 0.07 apart; of 67 to 33, with
    # m = (0.583, 0.417), √(½ (½ log2(0.5/m1) + ½ log2(0.5/m2)) + ½ (⅔ log2(⅔/m1) + ⅓ log2(⅓/m2))) = 0.14.
    assert told(compared(shape(payer=mixed(slightly)), was)) == []
    found = compared(shape(payer=mixed(clearly)), was)
    assert told(found) == [("mix", "payer", "")]
    assert found[0].text == (
        "stays.payer: another mix of values, Jensen-Shannon distance 0.14 "
        "(most: “city” 50.0% to 66.7%, “state” 50.0% to 33.3%)"
    )
    assert found[0].what_to_do == WHAT_TO_DO["mix"]
    # By chance 60 stays differ as much.
    assert told(compared(shape({"2025-01": 60}, payer=mixed({"city": 40, "state": 20})), was)) == []


def test_new_and_vanished_values_are_named_unless_they_may_have_been_pooled() -> None:
    was = shape(ward=mixed({"one": 23_000, "old": 700}, rest=300))
    now = shape(ward=mixed({"one": 23_000, "new": 700}, rest=300))
    # 700 of 24,000 are 2.9 %; a value of the pooled 300 (1.25 %) plus 1 % would go unnamed.
    # The mixes may differ by 400 rows at most: Jensen-Shannon distance 0.07.
    assert told(compared(now, was)) == [
        ("value_new", "ward", ""),
        ("value_vanished", "ward", ""),
    ]
    # 300 rows, 1.3 %, may all be among the 500 that are pooled.
    rare = shape(ward=mixed({"one": 23_500, "old": 300}, rest=200))
    assert told(compared(shape(ward=mixed({"one": 23_500}, rest=500)), rare)) == []


def test_a_shift_of_the_median_by_half_the_spread_is_told() -> None:
    def costs(middle: float) -> Shape:
        return shape(total_cost=ColumnShape(missing=0.0, quantiles=(10, 100, middle, 300, 900)))

    assert told(compared(costs(299), costs(200))) == []
    assert told(compared(costs(301), costs(200))) == [("numbers", "total_cost", "")]
    # Where the quartiles coincide: a tenth of the median, times the half.
    flat = [shape(x=ColumnShape(missing=0.0, quantiles=(5, 5, middle, 5, 5))) for middle in (5, 5.24, 5.26)]
    assert [told(compared(later, flat[0])) for later in flat] == [[], [], [("numbers", "x", "")]]


def test_a_drop_in_the_last_month_tells_an_incomplete_extract() -> None:
    rows = dict.fromkeys(MONTHS, 1000)
    # Limit: 0.6 × 1000 − 126.5 = 473.5.
    assert told(jumps(shape(rows | {"2024-12": 474}))) == []
    assert told(jumps(shape(rows | {"2024-12": 473}))) == [("incomplete_end", "", "2024-12")]
    # Half of December is observed, and half of its rows are there.
    assert told(jumps(shape(rows | {"2024-12": 473}, until="2024-12-15"))) == []


def test_a_month_without_rows_or_with_twice_as_many_is_told() -> None:
    rows = dict.fromkeys(MONTHS, 1000) | {"2023-09": 2000}
    del rows["2024-03"]
    assert told(jumps(shape(rows))) == [("gap", "", "2023-09"), ("gap", "", "2024-03")]
    # Rows of few patients come in heaps: 40 charges a stay of 25 patients a month.
    table = shape(rows).tables["stays"].model_copy(update={"patients_by_month": dict.fromkeys(rows, 25)})
    heaps = Shape(observed_until=None, tables={"charges": table})
    # 1000 expected, and by chance 4 × √(1000 × 40) = 800 more or fewer: 2,000 are within 1,600 + 800.
    assert told(jumps(heaps)) == []
    # Small counts prove nothing.
    assert told(jumps(shape(dict.fromkeys(MONTHS, 49) | {"2023-09": 0}))) == []


def test_a_jump_of_missing_values_is_told_with_its_month() -> None:
    by_month = dict.fromkeys(MONTHS, 0.05) | dict.fromkeys(MONTHS[9:], 0.25)
    found = jumps(shape(payer=ColumnShape(missing=0.2, missing_by_month=by_month)))
    assert told(found) == [("missing_jump", "payer", "2023-10")]
    assert (found[0].was, found[0].now) == (pytest.approx(0.05), pytest.approx(0.25))
    slowly = {month: 0.01 * place for place, month in enumerate(MONTHS)}
    assert told(jumps(shape(payer=ColumnShape(missing=0.1, missing_by_month=slowly)))) == []


def test_a_new_coding_edition_is_told_with_its_month() -> None:
    old, new = Mix(values={"I50": 500, "J18": 500}, rest=20), Mix(values={"I50": 500, "U07": 500}, rest=20)
    by_month = dict.fromkeys(MONTHS, old) | dict.fromkeys(MONTHS[12:], new)
    found = jumps(shape(code_3=ColumnShape(missing=0.0, mix_by_month=by_month)))
    assert told(found) == [("mix_jump", "code_3", "2024-01")]
    assert "“J18” 49.0% to 0.0%" in found[0].text
    # Values near the limit of pooling, ten patients a month, come and go without a change.
    rare = [
        Mix(values={"I50": 50, "A01": 40}, rest=0)
        if n < 12 or n % 2
        else Mix(values={"I50": 50}, rest=40, hidden=("A01",))
        for n in range(24)
    ]
    toggling = ColumnShape(missing=0.0, mix_by_month=dict(zip(MONTHS, rare, strict=True)))
    assert told(jumps(shape(code_3=toggling))) == []


def test_the_check_tells_drift_against_an_earlier_ingest(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", payer=["city"] * 120)
    ingest("canonical", folder, tmp_path / "out")
    assert check(folder, against=tmp_path / "out").findings == ()
    later = folder_of(tmp_path / "later", payer=["state"] * 120)
    quality = check(later, against=tmp_path / "out")
    assert told(quality.findings) == [
        ("mix", "payer", ""),
        ("value_new", "payer", ""),
        ("value_vanished", "payer", ""),
    ]
    assert quality.as_dict()["findings"][0]["what_to_do"] == WHAT_TO_DO["mix"]
    assert quality.rules == ()


def test_a_made_up_hospital_of_usual_seasons_gives_no_false_alarm(tmp_path: Path) -> None:
    one, two = (
        ingest("synthetic", None, tmp_path / f"{seed}", options={"admissions": 5_000, "seed": seed})
        for seed in (1, 2)
    )
    assert one.findings == two.findings == ()
    # Two hospitals of one kind: other rows in every month, and nothing else.
    kinds = {finding.kind for finding in compared(two.shape, one.shape)}
    assert kinds == {"rows"}


def test_another_declaration_is_told_first() -> None:
    meaning = Meaning(
        currency="CNY", cost_basis="billed", time_zone="Asia/Shanghai", timeline="real",
        complete_by="discharge", deaths="registry", diagnosis_codes="icd10", procedure_codes=None,
    )  # fmt: skip
    was = shape(payer=mixed({"city": 24_000})).model_copy(update={"meaning": meaning})
    other = meaning.model_copy(update={"currency": "USD", "procedure_codes": "icd9cm3"})
    now = shape(payer=mixed({"state": 24_000})).model_copy(update={"meaning": other})
    assert [finding.text for finding in compared(now, was)][:2] == [
        "dataset.toml: currency is USD, CNY before",
        "dataset.toml: procedure_codes is icd9cm3, not declared before",
    ]
    assert compared(was, was) == compared(was, shape(payer=mixed({"city": 24_000}))) == ()


def test_rows_that_double_for_two_years_are_one_finding() -> None:
    (found,) = compared(shape(dict.fromkeys(MONTHS, 2000)), shape())
    # The last of the 24 months is not compared.
    assert found.text == (
        "stays: about 2.0 times as many rows in 23 months, from 2023-01 to 2024-11 (46,000, 23,000 before)"
    )


def test_a_constant_column_has_not_changed_where_small_months_are_pooled() -> None:
    months = {month: Mix(values={"H": 60}, rest=0) for month in MONTHS}
    months["2023-03"] = Mix(values={}, rest=60, hidden=("H",))
    constant = ColumnShape(missing=0.0, mix=Mix(values={"H": 1440}, rest=0), mix_by_month=months)
    assert jumps(shape(hospital_id=constant)) == ()
    # Nor against an extract in which the value is rare enough to be pooled.
    assert told(compared(shape(payer=mixed({}, rest=100)), shape(payer=mixed({"H": 24_000})))) == []
