"""What the server counts about itself, for Prometheus: never a patient's value, never a request's text."""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from models.columns import Columns
from serving.champions.loaded import LiveChampions

# One format whatever the Accept header says: the client library reads versions out of that header and
# repeats them in the answer's.
MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
REQUEST_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
WAITED_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
GATHERED_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)
TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one application. May be used from many threads at once.

    Label values come from declarations alone: route templates, models in force, bands, features.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Histogram(
            "wardcast_request_seconds",
            "Time from a request's head to the end of its answer",
            ["route", "method", "status"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._waited = Histogram(
            "wardcast_queue_wait_seconds",
            "Time a request waited until its computation began",
            buckets=WAITED_SECONDS,
            registry=registry,
        )
        self._gathered = Histogram(
            "wardcast_gathered_requests",
            "Requests computed together",
            buckets=GATHERED_REQUESTS,
            registry=registry,
        )
        self._queue = Gauge("wardcast_queue_length", "Requests that wait to be computed", registry=registry)
        self._predictions = Counter(
            "wardcast_predictions", "Predictions answered", ["target", "model", "band"], registry=registry
        )
        self._scores = Histogram(
            "wardcast_score_percentile",
            "Place of a prediction among those of the calibration slice, in tenths; even if nothing changed",
            ["target", "model"],
            buckets=TENTHS,
            registry=registry,
        )
        self._problems = Counter(
            "wardcast_problems", "Requests answered by a problem document", ["kind"], registry=registry
        )
        self._missing = _MissingFeatures()
        registry.register(self._missing)

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request by its route's template; a method of the client's invention is `other`."""
        known = method if method in METHODS else "other"
        self._requests.labels(route, known, str(status)).observe(seconds)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Read the length of the queue from `length` whenever the metrics are asked for."""
        self._queue.set_function(length)

    def gathered(self, waited_seconds: Sequence[float]) -> None:
        """Count one computation of several requests, with the time that each of them waited for it."""
        self._gathered.observe(len(waited_seconds))
        for seconds in waited_seconds:
            self._waited.observe(seconds)

    def predicted(self, target: str, model: str, bands: Iterable[str], percentiles: Iterable[float]) -> None:
        """Count the predictions of one model (name/version)."""
        for band, n in Tally(bands).items():
            self._predictions.labels(target, model, band).inc(n)
        scores = self._scores.labels(target, model)
        for percentile in percentiles:
            scores.observe(_tenth(percentile))

    def features_built(self, point: str, columns: Columns) -> None:
        """Count what is missing in the feature rows of a prediction point, which all its models read."""
        self._missing.add(point, columns)

    def problem_answered(self, kind: str) -> None:
        """Count a request answered by a problem of this kind, such as `audit-unavailable`."""
        self._problems.labels(kind).inc()

    def watch_champions(self, champions: LiveChampions) -> None:
        """Tell which models answer, which are refused, and how often one could not be taken up."""
        self._registry.register(_Champions(champions))

    def text(self) -> bytes:
        """All of it in Prometheus' text format, `MEDIA_TYPE`."""
        return generate_latest(self._registry)


def _tenth(percentile: float) -> float:
    """The upper end of the tenth: a sum of these tells nobody's own score."""
    return next((end for end in TENTHS if percentile <= end), 1.0)


class _MissingFeatures(Collector):
    """Missing values of each feature, counted over rows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_rows: Tally[str] = Tally()
        self._n_missing: dict[str, Tally[str]] = {}

    def add(self, point: str, columns: Columns) -> None:
        counts = columns.n_missing()
        with self._lock:
            self._n_rows[point] += len(columns)
            missing = self._n_missing.setdefault(point, Tally())
            for name, n in counts.items():
                missing[name] += n

    def collect(self) -> Iterable[Metric]:
        rows = CounterMetricFamily(
            "wardcast_feature_rows", "Feature rows built for predictions", labels=["prediction_point"]
        )
        missing = CounterMetricFamily(
            "wardcast_feature_missing",
            "Feature rows in which the feature is missing",
            labels=["prediction_point", "feature"],
        )
        with self._lock:
            for point, n in self._n_rows.items():
                rows.add_metric([point], n)
            for point, counts in self._n_missing.items():
                for name, n in counts.items():
                    missing.add_metric([point, name], n)
        return rows, missing


class _Champions(Collector):
    """The champions in force at the moment they are asked for."""

    def __init__(self, champions: LiveChampions) -> None:
        self._champions = champions

    def collect(self) -> Iterable[Metric]:
        in_force = GaugeMetricFamily(
            "wardcast_champion",
            "1 for each model that answers",
            labels=["target", "prediction_point", "name", "version"],
        )
        champions = self._champions.current()
        for loaded in champions.loaded:
            champion, artefact = loaded.champion, loaded.model.artefact
            in_force.add_metric([artefact.target, artefact.point, champion.name, str(champion.version)], 1)
        refused = GaugeMetricFamily("wardcast_champions_refused", "Champions that cannot be used")
        refused.add_metric([], len(champions.refused))
        failures = CounterMetricFamily(
            "wardcast_champion_reload_failures", "Refusals of a champion, retries too"
        )
        failures.add_metric([], self._champions.n_refusals)
        return in_force, refused, failures
