"""A price index table from a file, and from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import UserError
from features.outcomes.prices import PriceIndexError, read_price_index
from wardcast.settings import load_settings


def write(folder: Path, text: str) -> Path:
    file = folder / "index.csv"
    file.write_text(text, "utf-8")
    return file


def test_a_table_is_read_in_the_order_of_its_years(tmp_path: Path) -> None:
    file = write(
        tmp_path, "\ufeffyear,index,source\n2023,105.5,statistics office\n2022,100,statistics office\n"
    )
    assert read_price_index(file) == ((2022, 100.0), (2023, 105.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year;index\n2022;100\n", "line 2: no whole number in `year`"),
        ("year,index\n2022,much\n", "line 2: no whole number in `year` or no number in `index`"),
        ("year,index\n2022\n", "line 2: no whole number"),
        ("year,index\n2022,100\n2022,101\n", "line 3: a year occurs once"),
        ("year,index\n2022,0\n", "line 2: a year occurs once, with an index above 0"),
        ("year,index\n2022,nan\n", "above 0"),
        ("year,index\n2022,inf\n", "above 0"),
        ("year,index\n22,100\n", "line 2: a year occurs once"),
        ("year,index\n", "no year there"),
    ],
)
def test_a_table_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PriceIndexError, match=message):
        read_price_index(write(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceIndexError, match="not readable as CSV in UTF-8"):
        read_price_index(tmp_path / "none.csv")
    (tmp_path / "gb.csv").write_bytes("year,index,来源\n2022,100,统计局\n".encode("gb18030"))
    with pytest.raises(PriceIndexError, match="not readable as CSV in UTF-8"):
        read_price_index(tmp_path / "gb.csv")


def test_settings_name_the_year_and_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "year,index\n2022,100\n2023,105\n")
    features = load_settings(price_year=2023, price_index=file).features()
    assert (features.price_year, features.price_index) == (2023, ((2022, 100.0), (2023, 105.0)))
    assert features.definitions()["price_index"] == [[2022, 100.0], [2023, 105.0]]
    assert load_settings().features().price_year is None
    for wrong in ({"price_year": 2024, "price_index": file}, {"price_year": 2023}):
        with pytest.raises(UserError, match="price_year: the price index has no value"):
            load_settings(**wrong).features()
