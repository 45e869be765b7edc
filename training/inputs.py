"""Which of a data set's features a model reads, and which levels of the categories it knows."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pyarrow.parquet as pq

from features.build import PatientLevelData
from features.feature import Feature
from models.encoding import FeatureSpec, level_places
from training.split import Rows
from training.targets import Target, TrainingError

FEWEST_LEVEL_ROWS = 20
GROUP_PREFIX = "row_group_"
"""Before the name of every column with a group of the report."""


def read_rows(data: PatientLevelData, target: Target, also: Iterable[str] = ()) -> pd.DataFrame:
    """All rows of a data set with the columns that this target needs alone: a data set may be large.

    `also` are columns that another model reads, where they are there. Categories come as pandas' own, each
    level once and a number for each row.
    """
    wanted = {feature.name for feature in data.features} | set(also)
    wanted |= {"patient_id", "prediction_time", target.label, target.label_end}
    wanted |= {"row_died_in_hospital", "row_hospital"}
    wanted |= {"label_stay_days", "label_index_charges"}  # what leaks are looked for in
    there = pq.read_schema(data.path).names
    table = pq.read_table(
        data.path,
        columns=[name for name in there if name in wanted or name.startswith(GROUP_PREFIX)],
        read_dictionary=[feature.name for feature in data.features if feature.type == "category"],
        partitioning=None,
    )
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    return frame


def choose_specs(
    frame: pd.DataFrame, features: tuple[Feature, ...], training: Rows
) -> tuple[tuple[FeatureSpec, ...], dict[str, str]]:
    """The features that vary in the training slice, categories with their frequent levels by name.

    A level of fewer than 20 rows is not learned: it counts as missing. Raises TrainingError if no
    feature is left.
    """
    specs, left_out = [], {}
    for feature in features:
        column = frame[feature.name].iloc[training]
        levels: tuple[str, ...] = ()
        if feature.type == "category":
            counts = column.value_counts()
            levels = tuple(sorted(str(level) for level in counts[counts >= FEWEST_LEVEL_ROWS].index))
            column = pd.Series(level_places(column, levels))
        reason = _why_useless(column)
        if reason:
            left_out[feature.name] = reason
            continue
        specs.append(
            FeatureSpec(
                feature.name,
                feature.label,
                feature.type,
                feature.unit,
                str(feature.available_from),
                feature.is_fact,
                levels,
            )
        )
    if not specs:
        raise TrainingError(
            f"features: none of {len(features)} varies in the training slice. Check the data."
        )
    return tuple(specs), left_out


def _why_useless(column: pd.Series) -> str:
    present = column.dropna()
    if present.empty:
        return "missing in every training row"
    is_constant = len(present) == len(column) and present.min() == present.max()
    return "the same in every training row" if is_constant else ""
