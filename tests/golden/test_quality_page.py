"""The quality page is what it was, and is safe to open and to print."""

from __future__ import annotations

import datetime as dt
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from features.dataset import CodeSystems, Declaration
from features.quality.differences import Finding
from features.quality.report import Quality, RuleRow, TableCount
from features.quality.shape import ColumnShape, Mix, Shape, TableShape
from tests.command import succeeded, wardcast
from wardcast.quality_page import quality_page, write_quality_page

GOLDEN = Path(__file__).with_name("quality.html")
HOSTILE = "<script>alert('1')</script> & $x^2$ “三” =CMD()|'\x00\x1b"
MONTHS = [f"2024-{month:02}" for month in range(1, 13)]


def declared(name: str = "county hospital") -> Declaration:
    return Declaration(
        name=name,
        source="front_page 2021",
        currency="CNY",
        cost_basis="billed",
        time_zone="Asia/Shanghai",
        timeline="real",
        observed_from=dt.date(2024, 1, 1),
        observed_until=dt.date(2024, 12, 31),
        complete_by="discharge",
        deaths="in_hospital",
        code_systems=CodeSystems(diagnosis="icd10gb", procedure="icd9cm3"),
    )


def report(
    name: str = "county hospital", group: str = "I", warning: str = "procedures: no such table."
) -> Quality:
    """A data set of a year in which a payer's name changes and the last month is half as long."""
    rows = {month: 1000 + 10 * place for place, month in enumerate(MONTHS)} | {"2024-12": 400}
    half = dict.fromkeys(MONTHS[:6], 0.0) | dict.fromkeys(MONTHS[6:], 0.5)
    codes = {
        month: Mix(values={group: 600, "J": 300 + 10 * place}, rest=50) for place, month in enumerate(MONTHS)
    }
    stays = TableShape(
        n_rows=sum(rows.values()),
        n_patients=5000,
        rows_by_month=rows,
        patients_by_month=rows,
        columns={"payer": ColumnShape(missing=0.25, missing_by_month=half), "sex": ColumnShape(missing=0.0)},
    )
    diagnoses = TableShape(
        n_rows=11_000,
        n_patients=5000,
        rows_by_month=rows,
        patients_by_month=rows,
        columns={"code_1": ColumnShape(missing=0.0, mix_by_month=codes)},
    )
    return Quality(
        declaration=declared(name),
        counts={"stays": TableCount(11_480, 11_470, 10), "diagnoses": TableCount(11_000, 11_000, 0)},
        rules=(RuleRow("stays", "negative", ("total_cost",), 10, 10 / 11_480, 7, "Correct the number."),),
        warnings=(warning,),
        findings=(
            Finding("incomplete_end", "stays", "", "2024-12", 1060, 400, "stays: 400 rows in 2024-12"),
        ),
        shape=Shape(observed_until=dt.date(2024, 12, 31), tables={"stays": stays, "diagnoses": diagnoses}),
    )


def normalised(page: str) -> str:
    """The page with each picture as its texts alone: where its lines lie is matplotlib's to say."""

    def texts(picture: re.Match[str]) -> str:
        label = re.search(r'aria-label="([^"]*)"', picture[0])
        found = re.findall(r"<text[^>]*>([^<]*)</text>", picture[0])
        return f"<svg {label[1] if label else ''} | {' '.join(found)}>"

    return re.sub(r"<svg.*?</svg>", texts, page, flags=re.S)


def test_the_page_is_what_it_was() -> None:
    made = normalised(quality_page(report()))
    assert GOLDEN.read_text("utf-8") == made, (
        "the page differs from tests/golden/quality.html: if that is meant, write it again with "
        "`python -m tests.golden.test_quality_page`"
    )


def test_the_same_report_gives_the_same_page() -> None:
    assert quality_page(report()) == quality_page(report())


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("hostile", [HOSTILE, "</style></svg><img src=x onerror=alert(1)>", "a\ud800b"])
def test_what_comes_from_the_extract_stays_text(hostile: str) -> None:
    text = quality_page(report(name=hostile, group=hostile, warning=hostile))
    text.encode("utf-8")
    page = _Page(text)
    names = [tag for tag, _ in page.tags]
    assert {"script", "img", "link", "iframe", "object"}.isdisjoint(names)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\x00" not in text
    assert "\x1b" not in text
    if "$" in hostile:
        assert "$x^2$" in page.words  # no formula either


def test_nothing_is_fetched_and_every_picture_has_words() -> None:
    page = _Page(quality_page(report()))
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert (value or "").startswith("#"), tag
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 3
    assert all(
        attributes["role"] == "img" and len(attributes["aria-label"] or "") > 20 for attributes in pictures
    )
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "@media print" in quality_page(report())


def test_a_data_set_without_dates_has_a_page_without_pictures() -> None:
    quality = report()
    undated = quality.shape.tables["stays"].model_copy(update={"rows_by_month": {}, "patients_by_month": {}})
    shape = Shape(observed_until=None, tables={"stays": undated})
    page = quality_page(Quality(quality.declaration, quality.counts, (), (), (), shape))
    assert "<svg" not in page
    assert "<td>payer</td>" in page


def test_the_page_is_written_in_one_step(tmp_path: Path) -> None:
    write_quality_page(report(), tmp_path / "quality.html")
    assert [entry.name for entry in tmp_path.iterdir()] == ["quality.html"]


def test_the_commands_write_it_and_tell_what_changed(tmp_path: Path) -> None:
    succeeded("ingest", "synthetic", "--out", "data", "--admissions", 600, "--html", "in.html", cwd=tmp_path)
    assert "Every row keeps every rule." in (tmp_path / "in.html").read_text("utf-8")
    same = succeeded(
        "check", "data", "--against", "data/shape.json", "--html", "now.html", "--json", cwd=tmp_path
    )
    assert same.document["findings"] == []
    assert (tmp_path / "now.html").is_file()
    shape = json.loads((tmp_path / "data/shape.json").read_text("utf-8"))
    del shape["tables"]["visits"]
    (tmp_path / "earlier.json").write_text(json.dumps(shape))
    assert "the table is new" in succeeded("check", "data", "--against", "earlier.json", cwd=tmp_path).out
    without = wardcast("check", "data", "--against", ".", cwd=tmp_path)
    assert (without.code, "no shape.json there" in without.err) == (1, True)
    mistyped = wardcast("check", "data", "--html", "page.pdf", cwd=tmp_path)
    assert (mistyped.code, "ends in .html" in mistyped.err) == (2, True)


if __name__ == "__main__":
    GOLDEN.write_text(normalised(quality_page(report())), "utf-8")
