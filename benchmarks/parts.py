"""What each part measures, against what. Every line of a part is one way of doing the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measured, best_of, measure

_AGREE_AT = 20_000
_SCORED = 50_000
_CHAMPIONS_FROM = 200_000
_REPLICATES = 500
_REPEATS = 2
_TARGETS = ("readmission", "complication", "cost", "charges", "stay_days")

Part = dict[str, Any]


def features(work: Path, rows: int) -> Part:
    """The data-set builder against the same features in plain pandas, written in two ways."""
    agreement = {}
    for n in dict.fromkeys((min(_AGREE_AT, rows), rows)):
        built = _built(work, n)
        ways = {way: _pandas(work, n, rolling=way == "rolling") for way in ("merge", "rolling")}
        agreement[n] = {
            way: measure("feature_tasks.compare_features", out=out, data=built).facts
            for way, (out, _) in ways.items()
        }
    wardcast = best_of(_REPEATS, "feature_tasks.wardcast_features", data=_data(work, rows), out=built)
    lines = {"wardcast": asdict(wardcast)} | {way: asdict(run) for way, (_, run) in ways.items()}
    return {"rows": rows, "lines": lines, "agreement": agreement}


def training(work: Path, rows: int) -> Part:
    """From records to report against `lightgbm.train` of the same booster on the ready matrix."""
    data, built = _data(work, rows), work / f"built-discharge-{rows}.parquet"
    wardcast = measure("model_tasks.wardcast_training", data=data, built=built, replicates=_REPLICATES)
    bare = measure("model_tasks.bare_training", built=built, every_row=False)
    bare_of_all = measure("model_tasks.bare_training", built=built, every_row=True)
    lines = {"wardcast": wardcast, "bare": bare, "bare_of_all": bare_of_all}
    return {"rows": rows, "lines": {name: asdict(line) for name, line in lines.items()}}


def scoring(work: Path, rows: int) -> Part:
    """Batch scoring with reasons, records to file, against the booster's contributions alone."""
    champions = _champions(work, rows)
    data = _data(work, min(_SCORED, rows))
    out = work / "scored.parquet"
    bare = best_of(_REPEATS, "model_tasks.bare_contributions", data=data, champions=champions)
    wardcast = best_of(_REPEATS, "model_tasks.wardcast_scoring", data=data, champions=champions, out=out)
    return {
        "rows": min(_SCORED, rows),
        "trained_on": min(_CHAMPIONS_FROM, rows),
        "lines": {"wardcast": asdict(wardcast), "bare": asdict(bare)},
    }


def serving(work: Path, rows: int, soak_minutes: float) -> Part:
    """The server alone, at many clients beside MLflow's, its start, and its memory under a steady load."""
    champions, n = _champions(work, rows), min(_CHAMPIONS_FROM, rows)
    found = measure(
        "serving.serving",
        champions=champions,
        built=_built(work, n),
        out=work / "serving",
        soak_minutes=soak_minutes,
    )
    return {"trained_on": n, **found.facts}


def scale(work: Path, rows: int) -> Part:
    """The data-set builder against the reference query, and its own growth from a tenth to ten times `rows`.

    8 diagnoses and 20 laboratory values an admission.
    """
    sizes: dict[int, Any] = {}
    for n in (rows // 10, rows, rows * 10):
        data = work / f"extract-{n}"
        if not (data / "dataset.toml").is_file():
            measure("scale_tasks.extract", data=data, admissions=n)
        repeats = _REPEATS if n <= rows else 1
        ways = {
            way: asdict(best_of(repeats, f"scale_tasks.{way}", data=data, out=work / f"{way}-{n}.parquet"))
            for way in ("reference", "features", "builder")
        }
        sizes[n] = ways
    return {"rows": rows, "sizes": sizes}


def parts(soak_minutes: float) -> dict[str, Callable[[Path, int], Part]]:
    """The parts by name; `soak_minutes` is how long the server is kept under load."""
    by_name = {part.__name__: part for part in (features, scale, training, scoring)}
    return by_name | {"serving": partial(serving, soak_minutes=soak_minutes)}


def _data(work: Path, rows: int) -> Path:
    """The made-up hospital of this size; what is there already is used again."""
    data = work / f"data-{rows}"
    if not data.is_dir():
        measure("feature_tasks.make_data", data=data, admissions=rows)
    return data


def _built(work: Path, rows: int) -> Path:
    out = work / f"built-{rows}.parquet"
    if not out.with_suffix(".pickle").is_file():
        measure("feature_tasks.wardcast_features", data=_data(work, rows), out=out)
    return out


def _pandas(work: Path, rows: int, *, rolling: bool) -> tuple[Path, Measured]:
    out = work / f"pandas-{rows}-{'rolling' if rolling else 'merge'}.parquet"
    return out, measure("feature_tasks.pandas_features", data=_data(work, rows), out=out, rolling=rolling)


def _champions(work: Path, rows: int) -> Path:
    """Champions for admission, every target that is predicted there."""
    n = min(_CHAMPIONS_FROM, rows)
    champions = work / f"champions-{n}"
    for target in _TARGETS:
        if not (champions / f"{target}-admission" / "champion.json").is_file():
            measure("model_tasks.make_champion", built=_built(work, n), champions=champions, target=target)
    return champions
