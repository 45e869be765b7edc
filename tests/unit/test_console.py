"""What a person at the terminal sees, and what a file or a notebook gets instead."""

from __future__ import annotations

import re

import pytest

from wardcast.console import progress_bar


def test_where_no_terminal_listens_progress_is_plain_lines_even_if_colours_are_wished_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As the kernel of a notebook sets it for every command.
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar() as progress:
        progress("reading", 0, 2)
        progress("reading", 1, 2)
        progress("reading", 2, 2)
    assert re.fullmatch(r"reading: done in \d+\.\d s\n", capsys.readouterr().err)
