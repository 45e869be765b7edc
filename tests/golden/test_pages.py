"""The generated pages of the documentation are what the specification, catalogue and tables say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.definitions import definitions_markdown, undefined
from training.report.checklist import reporting_markdown
from wardcast.dictionary import dictionary_markdown, tables_markdown
from wardcast.settings import settings_markdown

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("definitions", definitions_markdown),
        ("dictionary", dictionary_markdown),
        ("tables", tables_markdown),
        ("settings", settings_markdown),
        ("reporting", reporting_markdown),
    ],
)
def test_the_page_is_what_the_code_makes(name: str, made: Callable[[], str]) -> None:
    assert (DOCS / f"{name}.md").read_text("utf-8") == made(), (
        f"docs/{name}.md is out of date: run `make docs`"
    )


def test_every_specification_is_part_of_the_definitions() -> None:
    assert undefined() == set()
