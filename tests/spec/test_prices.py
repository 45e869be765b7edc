"""Prices

Costs are nominal unless a year is named: with `price_year` and a price index table (`price_index`, a CSV
file with the columns `year` and `index`, given by the user with its source), every stay's total is told at
the prices of that year, `total × index(price_year) ÷ index(year of its discharge)`, to the cent, and then
added up to the cost of the episode. Results and model cards say which. Index charges stay nominal: they
are what a payment is settled against. So do the cost features of the history.

A stay with a cost that was discharged in a year that the table lacks stops the build with a message; so
does a timeline that is shifted or absent, and an extract that supplies the episodes' costs, since their
years are not known.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.dataset import DataSet
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from features.tables import TableError
from tests.hospital import hospital, rows, told

INDEX = ((2022, 100.0), (2023, 105.0), (2024, 110.25))
IN_2024 = replace(DEFAULT_SETTINGS, price_year=2024, price_index=INDEX)
STAYS = """
    stay_id | patient_id | admitted_at | discharged_at | total_cost
    A1      | A          | 2022-12-20  | 2022-12-31    | 1000.00
    A2      | A          | 2023-01-20  | 2023-01-25    | 200.00
    B1      | B          | 2022-12-28  | 2023-01-03    | 1000.00
    C1      | C          | 2024-02-01  | 2024-02-05    | 333.33
    """


def extract(folder: Path, **more: str) -> DataSet:
    return hospital(folder, observed_from="2022-01-01", stays=STAYS, **more)


def test_costs_are_nominal_unless_a_year_is_named(tmp_path: Path) -> None:
    found = rows(extract(tmp_path), Point.ADMISSION)
    assert told(found, "label_episode_cost") == {"A1": 1200, "A2": 200, "B1": 1000, "C1": 333.33}


def test_every_stay_is_told_at_the_prices_of_the_year_by_the_year_of_its_discharge(tmp_path: Path) -> None:
    found = rows(extract(tmp_path), Point.ADMISSION, IN_2024)
    # A1 was discharged in 2022: 1000 × 110.25 ÷ 100 = 1102.50; A2 in 2023: 200 × 110.25 ÷ 105 = 210.
    # B1 came in 2022 and left in 2023: 1000 × 1.05 = 1050. C1 is of 2024 itself.
    assert told(found, "label_episode_cost") == {"A1": 1312.5, "A2": 210, "B1": 1050, "C1": 333.33}
    assert told(found, "label_episode_cost_0d") == {"A1": 1102.5, "A2": 210, "B1": 1050, "C1": 333.33}
    assert told(found, "label_index_charges") == {"A1": 1000, "A2": 200, "B1": 1000, "C1": 333.33}


def test_prices_of_an_earlier_year_are_rounded_to_the_cent(tmp_path: Path) -> None:
    found = rows(extract(tmp_path), Point.ADMISSION, replace(IN_2024, price_year=2022))
    # 333.33 × 100 ÷ 110.25 = 302.3401…; 200 × 100 ÷ 105 = 190.4761….
    assert told(found, "label_episode_cost") == {"A1": 1190.48, "A2": 190.48, "B1": 952.38, "C1": 302.34}


def test_a_year_that_the_table_lacks_is_named(tmp_path: Path) -> None:
    without = replace(IN_2024, price_index=((2022, 100.0), (2024, 110.25)))
    with pytest.raises(TableError, match=r"price index has no value for 2023.*Add the year"):
        rows(extract(tmp_path), Point.ADMISSION, without)


def test_the_year_of_the_prices_must_be_in_the_table() -> None:
    with pytest.raises(ValueError, match="price_year: the price index has no value for 2030"):
        replace(DEFAULT_SETTINGS, price_year=2030, price_index=INDEX)


def test_without_years_there_are_no_prices_of_a_year(tmp_path: Path) -> None:
    real = extract(tmp_path / "a")
    shifted = DataSet(real.path, real.declaration.model_copy(update={"timeline": "shifted"}))
    with pytest.raises(TableError, match="timeline is shifted"):
        rows(shifted, Point.ADMISSION, IN_2024)
    given = extract(tmp_path / "b", outcomes="stay_id | episode_cost\nA1 | 5")
    with pytest.raises(TableError, match="the extract gives the costs of episodes"):
        rows(given, Point.ADMISSION, IN_2024)
