"""The generated pages of the documentation are what the catalogue and the tables' declaration say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wardcast.dictionary import dictionary_markdown, tables_markdown

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("name", "made"), [("dictionary", dictionary_markdown), ("tables", tables_markdown)])
def test_the_page_is_what_the_declaration_says(name: str, made: Callable[[], str]) -> None:
    assert (DOCS / f"{name}.md").read_text("utf-8") == made(), (
        f"docs/{name}.md is out of date: run `wardcast {name} --markdown > docs/{name}.md`"
    )
