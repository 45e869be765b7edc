"""The table of results as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_WAYS = {
    "features": {
        "wardcast": "`features.build`: features, labels, cohort flow, data hash",
        "rolling": "pandas, `groupby().rolling()`: features alone",
        "merge": "pandas, merge and filter: features alone",
    },
    "scoring": {
        "wardcast": "`serving.nightly.score`: records to scored file, with reasons",
        "bare": "bare: `predict(pred_contrib=True)` on the ready matrix",
    },
}


def as_markdown(results: dict[str, Any]) -> str:
    """The committed table, from the document of results."""
    lines = [
        "# Results",
        "",
        "Made by `make bench`; `README.md` says what is measured and how to read it.",
        "",
    ]
    for name, describe in (
        ("features", _features),
        ("scale", _scale),
        ("training", _training),
        ("scoring", _scoring),
        ("serving", _serving),
    ):
        if name in results:
            lines += [*describe(results[name]), "", _machine(results[name]), ""]
    return "\n".join(lines)


def _features(part: dict[str, Any]) -> Iterator[str]:
    runs = part["lines"]
    yield f"## Features at admission, {part['rows']:,} admissions"
    yield ""
    yield from _table(runs, _WAYS["features"], "wardcast")
    yield ""
    for n, ways in part["agreement"].items():
        for way, found in ways.items():
            n_values = found["rows"] * found["compared"]
            n_differing = sum(found["differing_values"].values())
            yield (
                f"- {int(n):,} admissions, pandas {way}: {found['compared']} features compared on "
                f"{found['rows']:,} rows, {n_differing} of {n_values:,} values differ"
                + (f"; not covered: {', '.join(found['not_covered'])}." if found["not_covered"] else ".")
            )


def _scale(part: dict[str, Any]) -> Iterator[str]:
    sizes = {int(n): ways for n, ways in sorted(part["sizes"].items(), key=lambda size: int(size[0]))}
    first = min(sizes)
    facts = sizes[first]["builder"]["facts"]
    yield f"## Features at admission, {first:,} to {max(sizes):,} admissions"
    yield ""
    yield (
        "8 diagnoses and 20 laboratory values an admission, against the reference query: the history of "
        "earlier stays and packed comorbidity flags alone. "
        f"`features`: cohort and {facts['features']} features; "
        f"`builder`: these with {facts['columns'] - facts['features']} labels and keys, flow and data hash."
    )
    yield ""
    yield (
        "| admissions | way | wall | CPU | peak memory | wall ÷ reference | CPU ÷ reference "
        "| wall an admission, against the smallest |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for n, ways in sizes.items():
        for way, run in ways.items():
            wall, cpu = (run[unit] / ways["reference"][unit] for unit in ("wall_s", "cpu_s"))
            growth = (run["wall_s"] / n) / (sizes[first][way]["wall_s"] / first)
            yield (
                f"| {n:,} | {way} | {run['wall_s']:.1f} s | {run['cpu_s']:.1f} s | {run['peak_mb']:,.0f} MB "
                f"| {wall:.1f} | {cpu:.1f} | {growth:.2f} |"
            )


def _training(part: dict[str, Any]) -> Iterator[str]:
    whole, bare = part["lines"]["wardcast"], part["lines"]["bare"]
    facts = whole["facts"]
    phases = {
        "`train_model`: split, encode, fit, calibrate": facts["training"],
        "and read the rows from their file": facts["reading"],
        "and judge the test slice, with the baselines": facts["judging"],
        "and evaluate: 500 bootstrap replicates, leaks, explanations, figures": facts["evaluating"],
        "and the report": facts["report"],
        "and the features, from the records": facts["features_built"],
    }
    runs, so_far = {}, [0.0, 0.0]
    for phase, (wall, cpu) in phases.items():
        so_far = [so_far[0] + wall, so_far[1] + cpu]
        runs[phase] = {"wall_s": so_far[0], "cpu_s": so_far[1], "peak_mb": None}
    last = list(runs)[-1]
    runs[last] = {"wall_s": whole["wall_s"], "cpu_s": whole["cpu_s"], "peak_mb": whole["peak_mb"]}
    runs["bare"] = bare
    names = {phase: phase for phase in phases}
    names["bare"] = "bare: `lightgbm.Dataset` and `lightgbm.train`, matrix ready"
    yield f"## Training readmission at discharge, {part['rows']:,} admissions"
    yield ""
    yield from _table(runs, names, "bare")
    yield ""
    same = "the same model" if facts["digest"] == bare["facts"]["digest"] else "NOT the same model"
    rows = ", ".join(f"{name} {n:,}" for name, n in facts["rows"].items())
    trees = bare["facts"]["trees"]
    yield f"Rows: {rows}; {facts['features']} features, {trees} trees; both ways grow {same}."
    features = facts["features_built"][0]
    ratio = whole["wall_s"] / (bare["wall_s"] + features)
    yield (
        f"From records to report {whole['wall_s']:.0f} s, {ratio:.2f} × the bare training and the features "
        f"together ({bare['wall_s']:.0f} + {features:.0f} s)."
    )
    of_all = part["lines"]["bare_of_all"]
    ratio = whole["wall_s"] / (of_all["wall_s"] + features)
    yield (
        f"Bare training of every row of the three slices, {of_all['facts']['rows']:,}, none kept apart "
        f"to judge by: {of_all['wall_s']:.0f} s, {of_all['facts']['trees']} trees; beside it {ratio:.2f} ×."
    )


def _scoring(part: dict[str, Any]) -> Iterator[str]:
    bare = part["lines"]["bare"]["facts"]
    yield f"## Scoring with reasons, {part['rows']:,} admissions"
    yield ""
    yield from _table(part["lines"], _WAYS["scoring"], "bare")
    yield ""
    trained = f"{bare['trees']} trees, trained on {part['trained_on']:,} admissions"
    yield f"{bare['rows']:,} rows scored by one champion ({trained})."


def _serving(part: dict[str, Any]) -> Iterator[str]:
    alone, rounds, soak = part["alone"], part["rounds"], part["soak"]
    yield "## The server, one process on loopback"
    yield ""
    yield "| load | answers a second | p50 | p99 | longest | server CPU an answer | failures |"
    yield "|---|---|---|---|---|---|---|"
    yield _answered("one client, one request after another", alone)
    for way, name in (("wardcast", "wardcast"), ("mlflow", "`mlflow models serve`")):
        for number, each in enumerate(rounds, start=1):
            yield _answered(f"{part['clients']} clients, {name}, round {number}", each[way])
    yield _answered(f"{soak['minutes']:g} minutes at {soak['rate']:.0f} requests a second", soak)
    yield ""
    ratios = sorted(each["wardcast"]["per_second"] / each["mlflow"]["per_second"] for each in rounds)
    cpu_ratios = sorted(each["mlflow"]["cpu_ms"] / each["wardcast"]["cpu_ms"] for each in rounds)
    models = ", ".join(part["models"])
    yield (
        f"wardcast answers {ratios[len(ratios) // 2]:.2f} × as many requests as MLflow's server "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}), and {cpu_ratios[len(cpu_ratios) // 2]:.2f} × as many for "
        f"the same processor time. A request to wardcast holds {part['body_bytes']:,} bytes of "
        "records (5 earlier stays, 40 diagnoses, 30 laboratory values) and is answered with reasons by "
        f"{len(part['models'])} models ({models}); one to MLflow a ready row of features, answered by "
        f"{part['mlflow_model']} alone without reasons. Trained on {part['trained_on']:,} admissions."
    )
    yield ""
    starts = sorted(part["starts"], key=lambda start: float(start["ready_s"]))
    ready = ", ".join(f"{start['ready_s']:.1f}" for start in starts)
    cpu = min(start["cpu_s"] for start in starts)
    yield f"- Ready after {ready} s from the start of the process, {cpu:.1f} s of processor time."
    yield (
        f"- Memory under the steady load: {soak['mean_mb']:.0f} MB, "
        f"{soak['low']:+.1%} to {soak['high']:+.1%} by the minute, "
        f"{soak['lowest']:+.1%} to {soak['highest']:+.1%} in {soak['samples']} single samples "
        "(with what the queries of that moment take), "
        f"slope {soak['slope_mb_per_hour']:+.1f} MB an hour."
    )
    yield (
        f"- Aimed at: alone p50 ≤ 30 ms and p99 ≤ 100 ms; {part['clients']} clients ≥ 150 answers a second, "
        "p99 ≤ 1 s, ≥ 1.5 × MLflow's server; ready within 5 s; 30 minutes within ± 5 % of memory; no failure."
    )


def _answered(name: str, load: dict[str, Any]) -> str:
    cpu = f"{load['cpu_ms']:.1f} ms" if "cpu_ms" in load else ""
    failures = ", ".join(f"{n} × {kind}" for kind, n in load["failures"].items()) or "0"
    waits = " | ".join(f"{load[key]:.0f} ms" for key in ("p50_ms", "p99_ms", "most_ms"))
    return f"| {name} | {load['per_second']:.1f} | {waits} | {cpu} | {failures} |"


def _table(runs: dict[str, Any], names: dict[str, str], base: str) -> Iterator[str]:
    """One row per way; the ratio is to the way `base`, in wall and in CPU time."""
    yield f"| way | wall | CPU | peak memory | wall ÷ {base} | CPU ÷ {base} |"
    yield "|---|---|---|---|---|---|"
    for key, name in names.items():
        run = runs[key]
        peak = "" if run["peak_mb"] is None else f"{run['peak_mb']:,.0f} MB"
        wall, cpu = (run[unit] / runs[base][unit] for unit in ("wall_s", "cpu_s"))
        yield f"| {name} | {run['wall_s']:.1f} s | {run['cpu_s']:.1f} s | {peak} | {wall:.2f} | {cpu:.2f} |"


def _machine(part: dict[str, Any]) -> str:
    machine = part["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    return (
        f"{part['measured_on']}; {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"load before {machine['load_before']}; Python {machine['python']}, {libraries}."
    )
