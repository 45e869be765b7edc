"""The file of scored admissions: its columns, its parts put together, its top rows read back for people."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.tables import not_sent
from serving.predictions.predictor import Scores
from serving.reasons import N_REASONS, sentence, with_missing

_INSTANT = pa.timestamp("us")
SCHEMA = pa.schema(
    [
        ("stay_id", pa.string()),
        ("episode_id", pa.string()),
        ("patient_id", pa.string()),
        ("prediction_point", pa.string()),
        ("prediction_time", _INSTANT),
        ("provisional", pa.bool_()),
        ("target", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("unit", pa.string()),
        ("currency", pa.string()),
        ("band", pa.string()),
        ("percentile", pa.float64()),
        ("base_value", pa.float64()),
        ("raw_output", pa.float64()),
        ("scale", pa.string()),
        ("reasons", pa.string()),
        ("warnings", pa.string()),
        ("model", pa.string()),
        ("model_version", pa.int64()),
        ("feature_fingerprint", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
    ]
)

_REASONS = [f"reason_{place}" for place in range(1, N_REASONS + 1)]
CSV_COLUMNS = [column for name in SCHEMA.names for column in (_REASONS if name == "reasons" else [name])]
# What a spreadsheet takes for the beginning of a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")

# One encoder for all rows: `json.dumps` would make a new one for each.
_TO_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_TOP_COLUMNS = [
    "stay_id",
    "prediction_point",
    "prediction_time",
    "target",
    "value",
    "band",
    "scale",
    "reasons",
]


def scored_rows(
    scores: Scores,
    frame: pd.DataFrame,
    run_id: str,
    *,
    lacking: Sequence[str] = (),
    absent: Collection[str] = (),
) -> pa.Table:
    """The rows of the scored file for one champion's predictions of `frame`, made by `rows_for_scoring`.

    `lacking` are the tables that the champion learned from and the data set does not hold: each row warns.
    `absent` are all that it does not hold: a reason says whether that is why its value is missing.
    """
    everyone = [not_sent(table) for table in lacking]
    artefact, prediction, n = scores.loaded.model.artefact, scores.prediction, len(frame)
    is_money = artefact.unit == "money"
    columns = {
        "stay_id": pa.array(frame["stay_id"], pa.string()),
        "episode_id": pa.array(frame["episode_id"], pa.string()),
        "patient_id": pa.array(frame["patient_id"], pa.string()),
        "prediction_point": [artefact.point] * n,
        "prediction_time": pa.array(frame["prediction_time"], _INSTANT),
        # A batch scores at the point's own time.
        "provisional": [False] * n,
        "target": [artefact.target] * n,
        "value": prediction.value,
        "low": _bound(prediction.low, n),
        "high": _bound(prediction.high, n),
        "unit": [artefact.unit] * n,
        "currency": [artefact.context.currency if is_money else None] * n,
        "band": prediction.band,
        "percentile": prediction.percentile,
        "base_value": np.full(n, prediction.base_value),
        "raw_output": prediction.raw_output,
        "scale": [artefact.scale] * n,
        "reasons": [
            _TO_JSON([with_missing(reason, absent, none) for reason in reasons])
            for reasons, none in zip(scores.reasons, frame["row_none"], strict=True)
        ],
        "warnings": [
            _TO_JSON([*own, *everyone, *warnings])
            for own, warnings in zip(frame["row_warnings"], prediction.warnings, strict=True)
        ],
        "model": [scores.loaded.model_id] * n,
        "model_version": [scores.loaded.champion.version] * n,
        "feature_fingerprint": [artefact.fingerprint] * n,
        "run_id": [run_id] * n,
        "scored_at": [dt.datetime.now(dt.UTC).replace(microsecond=0)] * n,
    }
    return pa.table(columns, schema=SCHEMA)


def _bound(values: np.ndarray[Any, np.dtype[np.float64]] | None, n: int) -> pa.Array:
    """An end of the interval; no finite bound, and no interval at all, is null."""
    if values is None:
        return pa.nulls(n, pa.float64())
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def combine(parts: Sequence[Path], out: Path, *, top: int | None = None) -> int:
    """Put the parts together as one Parquet or CSV file, by its suffix; returns the rows written.

    A CSV file is for people: reasons as sentences in columns of their own, and no cell that a spreadsheet
    would take for a formula.
    With `top` only the highest values of each target and prediction point are kept, highest first.
    """
    tables = _read(parts) if top is None else iter([_highest(parts, top)])
    n_rows = 0
    if out.suffix == ".parquet":
        with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
                n_rows += table.num_rows
        return n_rows
    with out.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(CSV_COLUMNS) + "\n")
        for table in tables:
            _for_spreadsheets(table).to_csv(file, header=False, index=False)
            n_rows += table.num_rows
    return n_rows


def _for_spreadsheets(table: pa.Table) -> pd.DataFrame:
    """The rows with `CSV_COLUMNS`; a text that begins like a formula gets an apostrophe before it."""
    rows: pd.DataFrame = table.to_pandas()
    sentences = _sentences(rows)
    for place, name in enumerate(_REASONS):
        rows[name] = [texts[place] if place < len(texts) else None for texts in sentences]
    rows["warnings"] = ["; ".join(json.loads(warnings)) for warnings in rows["warnings"]]
    texts = [name for name in CSV_COLUMNS if name in _REASONS or SCHEMA.field(name).type == pa.string()]
    for name in texts:
        rows[name] = [_as_text(cell) for cell in rows[name]]
    return rows[CSV_COLUMNS]


def _as_text(cell: str | None) -> str | None:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell


def _sentences(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [sentence(reason, scale=scale) for reason in json.loads(reasons)[:N_REASONS]]
        for reasons, scale in zip(rows["reasons"], rows["scale"], strict=True)
    ]


def _read(parts: Sequence[Path]) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)


def _highest(parts: Sequence[Path], top: int) -> pa.Table:
    kept = SCHEMA.empty_table()
    for table in _read(parts):
        kept = pa.concat_tables([kept, table])
        # Equal values keep the order of their ids, so that the same data gives the same file.
        ordered = kept.sort_by(
            [
                ("target", "ascending"),
                ("prediction_point", "ascending"),
                ("value", "descending"),
                ("stay_id", "ascending"),
            ]
        )
        place = ordered.select(["target", "prediction_point"]).to_pandas()
        rank = place.groupby(["target", "prediction_point"]).cumcount()
        kept = ordered.filter(pa.array(rank < top))
    return kept


def top_table(scored: Path, k: int, *, target: str = "readmission", point: str | None = None) -> pd.DataFrame:
    """The `k` highest predictions of a target at one prediction point of a scored Parquet file, for people.

    `point` defaults to the latest point at which the target was scored. Equal values by stay_id.
    Columns: stay_id, prediction_point, prediction_time, value, band, reasons (in words).
    """
    rows: pd.DataFrame = pq.read_table(
        scored, columns=_TOP_COLUMNS, filters=[("target", "=", target)]
    ).to_pandas()
    order = ["preadmission", "admission", "discharge"]
    if point is None and len(rows):
        point = max(rows["prediction_point"].unique(), key=order.index)
    rows = rows[rows["prediction_point"] == point]
    rows = rows.sort_values(["value", "stay_id"], ascending=[False, True]).head(k).reset_index(drop=True)
    rows["reasons"] = _sentences(rows)
    return rows[["stay_id", "prediction_point", "prediction_time", "value", "band", "reasons"]]
