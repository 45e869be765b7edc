"""The data dictionary of the documentation is the catalogue's own."""

from __future__ import annotations

from pathlib import Path

from wardcast.reports import dictionary_markdown

PAGE = Path(__file__).parents[2] / "docs" / "dictionary.md"


def test_the_page_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text("utf-8") == dictionary_markdown(), (
        "docs/dictionary.md is out of date: run `wardcast dictionary --markdown > docs/dictionary.md`"
    )
