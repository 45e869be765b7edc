"""A count of 1 to 9 rows is not told, nor are counts that would tell it."""

from __future__ import annotations

import pytest

from training.counts import told, told_patients, told_shares, told_split


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([120, 0, 34], [120, 0, 34]),
        # Of 124 in all 120 + 0 would leave the 4: 120 is rounded, and 35 lies as near to 40 as to 30.
        ([123, 4, 0, 35], [120, None, 0, 40]),
        ([10, 9], [10, None]),
    ],
)
def test_counts_beside_a_few_are_rounded(counts: list[int], expected: list[int | None]) -> None:
    assert told(counts) == expected


def test_shares_beside_a_few_are_those_of_rounded_counts() -> None:
    assert told_shares([25, 10], [100, 300]) == [0.25, 0.03333]
    # 3 of 300 are few: 26 of 100 becomes 30. All but 2 of 60 are told as little as 2.
    assert told_shares([26, 3, 58], [100, 300, 60]) == [0.3, None, None]
    # 58 of 60 rounded would be 60 of 58.
    assert told_shares([58, 3], [58, 300]) == [1.0, None]


@pytest.mark.parametrize(
    ("patients", "expected"),
    [
        # 27 and 12 rows of patients who came again.
        ((93, 48), (93, 48)),
        # Nobody came again.
        ((120, 60), (120, 60)),
        # 60 rows of 57 patients would tell of 3 rows: both are rounded.
        ((93, 57), (90, 60)),
        # 60 rows of 6 patients.
        ((93, 6), (90, None)),
    ],
)
def test_patients_of_a_slice_do_not_tell_of_few_who_came_again(
    patients: tuple[int, int], expected: tuple[int | None, int | None]
) -> None:
    told_of = told_patients({"train": 120, "test": 60}, dict(zip(("train", "test"), patients, strict=True)))
    assert (told_of["train"], told_of["test"]) == expected


def test_a_split_without_few_rows_is_told_as_it_is() -> None:
    facts = {
        "by": "time and patient",
        "removed": {"training": {"label_window_open": {"rows": 43, "events": 12, "prevalence": 12 / 43}}},
        "unlabelled": 0,
        "calibration_rows_of_test_patients": 25,
    }
    assert told_split(facts) == facts
    assert told_split({"by": "patient", "unlabelled": 3}) == {"by": "patient", "unlabelled": None}


def test_where_few_rows_left_a_slice_all_that_left_are_rounded() -> None:
    removed = {
        "label_window_open": {"rows": 43, "events": 12, "prevalence": 12 / 43},
        "patient_in_later_slice": {"rows": 26, "events": 4, "prevalence": 4 / 26},
        # Two had no outcome.
        "other": {"rows": 26, "events": 24, "prevalence": 24 / 26},
    }
    told_of = told_split({"by": "time", "removed": {"training": removed}, "unsettled": 78})
    assert told_of["removed"]["training"] == {
        # 10 of 40.
        "label_window_open": {"rows": 40, "events": 10, "prevalence": 0.25},
        "patient_in_later_slice": {"rows": 30, "events": None, "prevalence": None},
        "other": {"rows": 30, "events": None, "prevalence": None},
    }
    assert (told_of["by"], told_of["unsettled"]) == ("time", 80)


def test_an_amount_has_no_events() -> None:
    facts = {"removed": {"training": {"label_window_open": {"rows": 3}, "other": {"rows": 44}}}}
    assert told_split(facts) == {
        "removed": {"training": {"label_window_open": {"rows": None}, "other": {"rows": 40}}}
    }
