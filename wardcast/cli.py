"""The command line. Heavy packages are imported by the command that needs them."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from wardcast import __version__
from wardcast.failures import told

if TYPE_CHECKING:
    from features.points import Point
    from features.quality.report import Quality
    from models.champions import Champion
    from wardcast.settings import Settings

app = typer.Typer(
    name="wardcast",
    help="Readmission and complication risk, cost, charges and length of stay from admission records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataFolder = Annotated[Path, typer.Argument(metavar="DIR", help="a data set that `wardcast ingest` wrote")]
Work = Annotated[Path | None, typer.Option(help="work folder: models, tracking, champions")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
HtmlPage = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="the report as a page of its own, with plots")
]
ActedOnFrom = Annotated[
    dt.datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], metavar="DATE", help="labels since then were changed by acting on models"
    ),
]
PointName = Annotated[str, typer.Option("--point", help="preadmission, admission or discharge")]


class Change(TypedDict):
    """What every change of a champion needs beside the model's name."""

    tracking_uri: str
    champions: Path
    changed_by: str


def main() -> None:
    """Run the command line: exit 0 done, 1 the data or a gate said no, 2 wrong usage, 130 or 143 stopped."""
    # Whatever is written may hold patients' records: for this account alone.
    os.umask(0o077)
    # No package that a command loads may report to its makers.
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})
    with told():
        app()


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _settings(**options: object) -> Settings:
    from wardcast.settings import load_settings

    return load_settings(**options)


@contextmanager
def _usage() -> Iterator[None]:
    """What is refused within is an argument that could never work: exit 2."""
    from features.errors import UserError

    try:
        yield
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def _day(time: dt.datetime | None) -> dt.date | None:
    return None if time is None else time.date()


def _point(name: str) -> Point:
    from features.points import Point

    try:
        return Point(name)
    except ValueError:
        raise typer.BadParameter(f"{name} is none of {', '.join(Point)}") from None


def _output(out: Path, *suffixes: str) -> Path:
    """A file or folder that can be made there; Typer's error if it is mistyped."""
    if suffixes and out.suffix not in suffixes:
        raise typer.BadParameter(f"{out.name}: name a file that ends in {' or '.join(suffixes)}")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"{out.parent}: no such folder. Make it, or name another")
    return out


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))


def _page_place(html: Path | None) -> None:
    if html is not None:
        _output(html, ".html")


def _say_quality(quality: Quality, html: Path | None, *, as_json: bool) -> None:
    from wardcast.reports import show_quality

    if html is not None:
        from wardcast.quality_page import write_quality_page

        write_quality_page(quality, html)
    if as_json:
        _print_json(quality.as_dict())
    else:
        show_quality(quality)


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="synthetic, or the source of a real file")] = "synthetic",
    path: Annotated[Path | None, typer.Option(help="the real file")] = None,
    admissions: Annotated[int, typer.Option(min=5_000, help="size of the made-up hospital")] = 20_000,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """The whole way on a made-up hospital, or on a real file; below the work folder, in demo/."""
    from features.sources import stage_of
    from wardcast.console import progress_bar
    from wardcast.demo import demo_settings, run_demo, show_demo

    with _usage():
        stage_of(source)
    if source == "synthetic" and path is not None:
        raise typer.BadParameter("--path goes with --source: name the source that the file comes from")
    if source != "synthetic" and path is None:
        raise typer.BadParameter(f"--source {source} needs --path: name the file")
    settings = _settings(work=work) if work else demo_settings(_settings())
    with progress_bar() as progress:
        result = run_demo(source, path, admissions, settings, progress=progress)
    if as_json:
        _print_json(result.document)
    else:
        show_demo(result, settings)


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(help="name of a source, such as canonical, table or synthetic")],
    path: Annotated[Path | None, typer.Argument(help="the extract; synthetic needs none")] = None,
    out: Annotated[Path, typer.Option(help="folder of the data set")] = Path("data"),
    admissions: Annotated[int | None, typer.Option(min=1, help="synthetic: how many")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="synthetic: seed")] = None,
    dirty: Annotated[bool, typer.Option("--dirty", help="synthetic: plant faults")] = False,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="table: what the columns mean; beside the file by default"),
    ] = None,
    declaration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="keys of dataset.toml that the format does not tell")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="front_page: the year of the layout")] = None,
    more: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="another option of the source")
    ] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="table: propose a mapping file, to --mapping or the terminal")
    ] = False,
    max_quarantine_share: Annotated[float, typer.Option(min=0, max=1)] = 0.05,
    hash_ids: Annotated[
        Path | None, typer.Option(metavar="KEYFILE", help="secret key: ids become pseudonyms, linkable by it")
    ] = None,
    html: HtmlPage = None,
    as_json: AsJson = False,
) -> None:
    """Read a source into a checked data set, with quarantine and quality report."""
    from features.ingest import ingest as read
    from features.sources import stage_of
    from wardcast.console import progress_bar

    with _usage():
        stage_of(source)
    if source == "synthetic" and path is not None:
        raise typer.BadParameter("synthetic reads no file; leave the path out, or name the file's source")
    if describe:
        if as_json:
            raise typer.BadParameter("--describe writes a mapping file in TOML; leave --json out")
        _propose_mapping(source, path, mapping)
        return
    given = {
        "admissions": admissions,
        "seed": seed,
        "dirty": dirty or None,
        "mapping": mapping,
        "declaration": declaration,
        "layout": layout,
    }
    named = _named_values(more or [])
    options = {name: value for name, value in given.items() if value is not None} | named
    _refuse_foreign_options(source, options, named)
    _output(out)
    _page_place(html)
    settings = _settings()
    with progress_bar() as progress:
        quality = read(
            source,
            path,
            out,
            options=options,
            max_quarantine_share=max_quarantine_share,
            hash_ids=hash_ids,
            threads=settings.threads,
            memory_limit_mb=settings.memory_limit_mb,
            progress=progress,
        )
    _say_quality(quality, html, as_json=as_json)


def _named_values(given: list[str]) -> dict[str, str]:
    """The values of `--option NAME=VALUE`, with underscores in the names."""
    pairs = [each.partition("=") for each in given]
    wrong = [name for name, sign, _ in pairs if not sign]
    if wrong:
        raise typer.BadParameter(f"--option {wrong[0]}: write it like --option name=value")
    return {name.replace("-", "_"): value for name, _, value in pairs}


def _refuse_foreign_options(source: str, options: Iterable[str], texts: Iterable[str]) -> None:
    """Options that the source does not take, or not as the texts that `--option` gives."""
    from features.sources import SOURCES, options_of

    taken = options_of(source)
    for name in texts:
        if not taken.get(name, True):
            raise typer.BadParameter(f"--option {name}: not a text. See --help for an option of its own")
    for name in options:
        if name not in taken:
            takers = [each for each in SOURCES if name in options_of(each)]
            choice = f"it goes with {', '.join(takers)}" if takers else "no source does"
            raise typer.BadParameter(f"{source} takes no option {name}; {choice}")


def _propose_mapping(source: str, path: Path | None, mapping: Path | None) -> None:
    """Print a mapping file for an unknown file, or write it where there is none yet."""
    from features.sources.describe import describe
    from wardcast.console import progress_bar

    if source != "table" or path is None:
        raise typer.BadParameter(
            "--describe reads one file for the source table: ingest table FILE --describe"
        )
    if mapping is not None and _output(mapping, ".toml").exists():
        raise typer.BadParameter(f"{mapping}: exists. Name another file, or remove it")
    with progress_bar() as progress:
        text = describe(path, progress=progress)
    if mapping is None:
        print(text, end="")
    else:
        mapping.write_text(text, "utf-8")
        print(f"{mapping} is written. Decide every TODO in it, then ingest the file with it.")


@app.command()
def check(
    data: DataFolder,
    against: Annotated[
        Path | None, typer.Option(metavar="EARLIER", help="an earlier ingest, its folder or shape.json")
    ] = None,
    html: HtmlPage = None,
    as_json: AsJson = False,
) -> None:
    """The quality report alone, with what changed; exit 1 if a row breaks a rule."""
    from features.quality.check import check as report
    from wardcast.console import progress_bar

    _page_place(html)
    settings = _settings()
    with progress_bar() as progress:
        quality = report(
            data,
            against=against,
            threads=settings.threads,
            memory_limit_mb=settings.memory_limit_mb,
            progress=progress,
        )
    _say_quality(quality, html, as_json=as_json)
    if quality.rules:
        raise typer.Exit(1)


@app.command()
def features(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="Parquet file of the data set")],
    point: PointName = "admission",
    as_json: AsJson = False,
) -> None:
    """Build the patient-level data set of a prediction point, with labels."""
    from features.build import build
    from features.dataset import open_dataset
    from wardcast.console import progress_bar
    from wardcast.reports import flow_document, show_flow

    at, settings = _point(point), _settings()
    _output(out, ".parquet")
    with progress_bar() as progress:
        made = build(open_dataset(data), at, out, settings=settings.features(), progress=progress)
    if as_json:
        _print_json({"file": str(made.path), "flow": flow_document(made.flow), "data_hash": made.data_hash})
    else:
        show_flow(made.flow, point)


@app.command()
def dictionary(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/dictionary.md")] = False,
) -> None:
    """Every feature: name, type, unit, range, when it is known, meaning."""
    from wardcast.dictionary import dictionary_document, dictionary_markdown, show_dictionary

    if as_json:
        _print_json(dictionary_document())
    elif markdown:
        print(dictionary_markdown(), end="")
    else:
        show_dictionary()


@app.command()
def tables(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/tables.md")] = False,
) -> None:
    """Every canonical table: columns, types, what is required, allowed values, meaning."""
    from wardcast.dictionary import show_tables, tables_document, tables_markdown

    if as_json:
        _print_json(tables_document())
    elif markdown:
        print(tables_markdown(), end="")
    else:
        show_tables()


@app.command()
def train(
    data: DataFolder,
    target: Annotated[str, typer.Option(help="readmission, complication, cost, charges or stay_days")],
    point: PointName = "discharge",
    tune: Annotated[int, typer.Option(min=0, metavar="N", help="search hyperparameters by N trials")] = 0,
    tune_minutes: Annotated[
        float,
        typer.Option(
            min=0.1, help="end the search then, if not before; without a calendar six searches share it"
        ),
    ] = 10,
    validate: Annotated[
        bool, typer.Option("--validate", help="judge later periods, hospitals left out, learning curve too")
    ] = False,
    acted_on_from: ActedOnFrom = None,
    promote: Annotated[bool, typer.Option("--promote", help="make it champion if the gate passes")] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Train, calibrate, evaluate, log and register a model; exit 1 if --promote and the gate says no."""
    from training.targets import target_at
    from training.train import Effort
    from wardcast.console import progress_bar
    from wardcast.demo import taken_over
    from wardcast.pipeline import built, built_earlier
    from wardcast.pipeline import train as train_one
    from wardcast.reports import say_outcome, show_training

    at, settings = _point(point), _settings(work=work, acted_on_from=_day(acted_on_from))
    with _usage():
        target_at(target, at)
    taken_over(settings.work)
    effort = Effort(n_trials=tune, tuning_seconds=60 * tune_minutes, validates=validate)
    with progress_bar() as progress:
        made = built(data, at, settings, progress)
        earlier = built_earlier(data, at, settings, progress)
        outcome = train_one(
            made, target, settings, promote=promote, effort=effort, earlier=earlier, progress=progress
        )
    if as_json:
        _print_json(outcome.results)
    else:
        show_training([outcome.results])
        say_outcome(outcome, settings, promote=promote)
    if promote and not outcome.is_champion:
        raise typer.Exit(1)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="NAME of a champion, NAME/VERSION, or an artefact's folder")],
    data: DataFolder,
    html: HtmlPage = None,
    acted_on_from: ActedOnFrom = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """External validation of a model on another data set, with the recalibration that it would take."""
    from features.dataset import open_dataset
    from training.external.evaluate import evaluate_elsewhere
    from training.external.model import find_model
    from training.registry.changes import acted_on_since
    from training.registry.promotion import history_of_all
    from wardcast.console import progress_bar
    from wardcast.demo import tracking_of
    from wardcast.evaluation_page import show_evaluation, write_evaluation_page

    _page_place(html)
    settings = _settings(work=work, acted_on_from=_day(acted_on_from))
    dataset, tracking_uri = open_dataset(data), tracking_of(settings)
    found = find_model(model, tracking_uri=tracking_uri, champions=settings.champions)
    history = history_of_all(tracking_uri=tracking_uri)
    with progress_bar() as progress:
        external = evaluate_elsewhere(
            found,
            dataset,
            settings=settings.features(),
            scratch=settings.work,
            with_figures=html is not None,
            acted_on_from=acted_on_since(settings.acted_on_from, history, dataset.declaration),
            progress=progress,
        )
    if html is not None:
        write_evaluation_page(external, html)
    if as_json:
        _print_json(external.document)
    else:
        show_evaluation(external.document)


@app.command()
def models(
    history: Annotated[
        str | None, typer.Option(metavar="NAME", help="every change of this model's champion instead")
    ] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """What is champion, since when, on what evidence; or who changed it, when and why."""
    from dataclasses import asdict

    from training.registry.promotion import audit, champions_table
    from wardcast.demo import tracking_of
    from wardcast.reports import show_champions, show_history

    settings = _settings(work=work)
    tracking_uri = tracking_of(settings)
    if history is not None:
        changes = audit(history, tracking_uri=tracking_uri)
        if as_json:
            _print_json([asdict(change) for change in changes])
        else:
            show_history(history, changes)
        return
    rows = champions_table(tracking_uri=tracking_uri, champions=settings.champions)
    if as_json:
        _print_json([asdict(row) for row in rows])
    else:
        show_champions(rows)


def _say_champion(champion: Champion, *, as_json: bool) -> None:
    if as_json:
        _print_json(
            {
                "name": champion.name,
                "version": champion.version,
                "digest": champion.digest,
                "promoted_at": champion.promoted_at,
            }
        )
    else:
        print(f"{champion.model_id} is champion since {champion.promoted_at}.")


def _changing(work: Path | None) -> Change:
    """Where a change of champion is recorded and takes effect, and by whom: the work folder is theirs."""
    from wardcast.demo import taken_over, tracking_of
    from wardcast.pipeline import account

    settings = _settings(work=work)
    tracking_uri = tracking_of(settings)
    taken_over(settings.work)
    return {"tracking_uri": tracking_uri, "champions": settings.champions, "changed_by": account()}


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="model, such as readmission-discharge")],
    version: Annotated[int, typer.Argument(help="registered version")],
    override: Annotated[str | None, typer.Option(help="reason to promote against the gate")] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Make a registered version champion, with an audit record."""
    from training.registry.promotion import promote as put_in_force

    champion = put_in_force(
        name,
        version,
        **_changing(work),
        override=override,
    )
    _say_champion(champion, as_json=as_json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="model, such as readmission-discharge")],
    reason: Annotated[str, typer.Option(help="why")] = "",
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Put the former champion back, with an audit record."""
    from training.registry.promotion import rollback as put_back

    champion = put_back(
        name,
        **_changing(work),
        reason=reason,
    )
    _say_champion(champion, as_json=as_json)


@app.command()
def retire(
    name: Annotated[str, typer.Argument(help="model, such as readmission-discharge")],
    reason: Annotated[str, typer.Option(help="why")] = "",
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Take a champion out of service, without another in its place, with an audit record."""
    from training.registry.promotion import retire as take_out

    change = take_out(
        name,
        **_changing(work),
        reason=reason,
    )
    if as_json:
        _print_json({"name": name, "version": change.version, "retired_at": change.changed_at})
    else:
        print(f"{name}/{change.version} is out of service since {change.changed_at}. None is in its place.")


@app.command()
def score(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="file to write: .parquet or .csv")],
    since: Annotated[
        dt.datetime | None, typer.Option(help="only prediction times from then on (local time)")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="keep the highest K of each target")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Score the admissions of a data set with the champions, with reasons."""
    from dataclasses import asdict

    from features.dataset import open_dataset
    from serving.loaded import load_champions
    from serving.score import check_out
    from serving.score import score as score_all
    from wardcast.console import progress_bar
    from wardcast.reports import show_scored

    with _usage():
        check_out(out)
    _output(out)
    settings = _settings(work=work)
    dataset = open_dataset(data)
    with progress_bar() as progress:
        scored = score_all(
            dataset,
            load_champions(settings.champions),
            out,
            since=since,
            top=top,
            settings=settings.features(),
            resume=resume,
            progress=progress,
        )
    if as_json:
        _print_json(
            {
                "file": str(scored.path),
                "admissions": scored.n_admissions,
                "scored": scored.n_scored,
                "rows": scored.n_rows,
                "counts": [asdict(count) for count in scored.counts],
                "resumed": scored.resumed,
                "models": list(scored.models),
                "run_id": scored.run_id,
            }
        )
    else:
        show_scored(scored, dataset.declaration, since=since, resume=resume)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="port to listen on")] = None,
    work: Work = None,
) -> None:
    """Serve predictions over HTTP from the champions of the work folder."""
    from serving.server import serve as serve_until_interrupted
    from serving.settings import ServingSettings

    settings = _settings(host=host, port=port, work=work)
    limits = ServingSettings(settings.champions, features=settings.features())
    serve_until_interrupted(limits, host=settings.host, port=settings.port)


@app.command(name="settings")
def show_settings(as_json: AsJson = False) -> None:
    """What is in force, and where it came from."""
    from wardcast.console import show_table
    from wardcast.settings import origins

    found = origins(_settings())
    if as_json:
        _print_json({name: {"value": value, "from": origin} for name, (value, origin) in found.items()})
    else:
        show_table("Settings", ["setting", "value", "from"], [[name, *pair] for name, pair in found.items()])
