"""What the codes of a few admissions mean, as JSON: looked up once, then remembered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from features.codes.measures import MEASURE_FLAG_COLUMNS, measure_rows
from features.codes.medications import MEDICATION_FLAG_COLUMNS, medication_rows
from features.coding import CodedAs, code_flags_for

MOST_REMEMBERED = 20_000
"""Codes come from outside: beyond so many, all are forgotten."""
_FLAGS_OF = {"diagnoses": "diagnosis_flags", "procedures": "procedure_flags"}


@dataclass(frozen=True)
class Meaning:
    """The row of a code's flags as a JSON object; `is_known`: a code set holds the code."""

    flags: str
    is_known: bool


class CodeMeanings:
    """Flags of diagnosis and procedure codes. Not for several threads at once."""

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, CodedAs], Meaning] = {}

    def of(self, codes: Mapping[str, Iterable[CodedAs]]) -> dict[str, dict[CodedAs, Meaning]]:
        """The meaning of every code of the tables `diagnoses` and `procedures`."""
        asked = {table: set(codes[table]) for table in _FLAGS_OF}
        new = self._new(asked)
        if len(self._remembered) + sum(map(len, new.values())) > MOST_REMEMBERED:
            self._remembered.clear()
            new = asked
        if any(new.values()):
            flags = code_flags_for(new)
            for table, name in _FLAGS_OF.items():
                self._remembered |= {(table, code): meaning for code, meaning in _meanings(flags[name])}
        return {
            table: {code: self._remembered[table, code] for code in sorted(some)}
            for table, some in asked.items()
        }

    def _new(self, asked: Mapping[str, set[CodedAs]]) -> dict[str, set[CodedAs]]:
        return {
            table: {code for code in codes if (table, code) not in self._remembered}
            for table, codes in asked.items()
        }


def _meanings(flags: pd.DataFrame) -> list[tuple[CodedAs, Meaning]]:
    rows = flags.astype(object).where(flags.notna(), None).to_dict("records")
    return [
        ((row["code"], row["code_system"]), Meaning(json.dumps(row), row["ccs_title"] is not None))
        for row in rows
    ]


def plain_meanings(medications: Iterable[str], measured: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The flags of medication codes and of measured (code, unit) pairs, each table as a JSON list."""
    return {
        "medication_flags": _as_json(MEDICATION_FLAG_COLUMNS, medication_rows(medications)),
        "measure_flags": _as_json(MEASURE_FLAG_COLUMNS, measure_rows(measured)),
    }


def _as_json(columns: Iterable[str], rows: Iterable[tuple[str | float, ...]]) -> str:
    return json.dumps([dict(zip(columns, row, strict=True)) for row in rows])
