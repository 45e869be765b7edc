"""The decision of the gate: the rules that were looked at, and whether all of them hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One rule that was looked at, whether it holds, and the numbers in a sentence."""

    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{'Passed' if self.passed else 'Failed'}: {self.text}"


@dataclass(frozen=True)
class Gate:
    """The decision: every rule that was looked at, failed ones first."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule holds; a gate that looked at nothing lets nothing through."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The checks as sentences, for people."""
        return tuple(str(check) for check in self.checks)

    def document(self) -> dict[str, Any]:
        """The decision as JSON: `checks` for programs, `reasons` for people."""
        return {
            "passed": self.passed,
            "reasons": list(self.reasons),
            "checks": [asdict(check) for check in self.checks],
        }
