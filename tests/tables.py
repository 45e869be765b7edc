"""Small tables in sight of the tests that use them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

DECLARATION = {
    "name": '"small"',
    "source": '"by hand"',
    "currency": '"CNY"',
    "cost_basis": '"billed"',
    "time_zone": '"Asia/Shanghai"',
    "timeline": '"real"',
    "observed_from": "2023-01-01",
    "observed_until": "2024-12-31",
    "complete_by": '"discharge"',
    "deaths": '"registry"',
    "code_systems": '{ diagnosis = "icd10", procedure = "icd9cm3" }',
}


def table(text: str) -> pd.DataFrame:
    """A table written as lines of `a | b`, the first its header; values are text, an empty cell is null."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    header, *rows = [[cell.strip() or None for cell in line.split("|")] for line in lines]
    return pd.DataFrame(rows, columns=header, dtype="object")


def write_folder(folder: Path, tables: dict[str, str], **declaration: str) -> Path:
    """A user's folder: one CSV per table, and `dataset.toml` with some settings changed (TOML text)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        table(text).to_csv(folder / f"{name}.csv", index=False)
    settings = DECLARATION | declaration
    lines = [f"{name} = {value}" for name, value in settings.items() if value]
    (folder / "dataset.toml").write_text("\n".join(lines), "utf-8")
    return folder
