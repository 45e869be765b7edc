"""What the check of a data set found: counts per table, rows per rule, warnings. Never a patient's value."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from features.dataset import Declaration
from features.quality.differences import Finding
from features.quality.shape import Shape


@dataclass(frozen=True)
class TableCount:
    """Rows of one table: in the extract, kept, and quarantined. Refuses counts that do not add up."""

    n_in: int
    n_out: int
    n_quarantined: int

    def __post_init__(self) -> None:
        if self.n_in != self.n_out + self.n_quarantined:
            raise AssertionError(
                f"{self.n_in} rows in, but {self.n_out} out and {self.n_quarantined} quarantined"
            )


@dataclass(frozen=True)
class RuleRow:
    """One line of the report: the rows of one table that one rule quarantines.

    `columns` are those with the values that break it, where the rule is one of single columns. `share` is
    of the table's rows; `first_row` counts the table's rows from 1, headers left out, over
    its files in the order of their names.
    """

    table: str
    rule: str
    columns: tuple[str, ...]
    n_rows: int
    share: float
    first_row: int
    what_to_do: str


@dataclass(frozen=True)
class Quality:
    """The quality report of a data set.

    `findings` are what changes within the data set or against an earlier one; they refuse nothing.
    """

    declaration: Declaration
    counts: dict[str, TableCount]
    rules: tuple[RuleRow, ...]
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...]
    shape: Shape

    @property
    def quarantined_share(self) -> float:
        """Share of all rows that are quarantined; 0 for a data set without rows."""
        n_in = sum(count.n_in for count in self.counts.values())
        return sum(count.n_quarantined for count in self.counts.values()) / max(n_in, 1)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values, without the shape, which is a file of its own."""
        return {
            "declaration": self.declaration.model_dump(mode="json", exclude_none=True),
            "quarantined_share": self.quarantined_share,
            "tables": [{"table": name, **asdict(count)} for name, count in self.counts.items()],
            "rules": [asdict(rule) | {"columns": list(rule.columns)} for rule in self.rules],
            "warnings": list(self.warnings),
            "findings": [asdict(finding) | {"what_to_do": finding.what_to_do} for finding in self.findings],
        }

    def to_json(self) -> str:
        """The report as the text of `quality.json`; the same data set gives the same text."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"
