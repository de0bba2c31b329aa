"""What is measured of the desk, for Prometheus: requests to models, roles, runs, the cache, and what stands behind."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from openoutcry.core.report import NoFinding, Report
from openoutcry.core.version import VERSION
from openoutcry.serving.meter import Asked

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300)
"""Bounds of the histograms of time."""
UNREADABLE = ("ModelGarbled", "ModelCutShort")
"""Outcomes that say: there was an answer, and it could not be read."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands behind the seats at a moment: requests in the air by model and url, whether each model is left
    alone after a run of failures, and lookups in the cache by their result since the start.
    """

    outstanding: Mapping[tuple[str, str], int]
    alone: Mapping[str, bool]
    lookups: Mapping[str, int]


class Metrics:
    """Counts and times in a registry of its own; `asked` is a Meter. Safe to share between threads."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

        self.registry = to = CollectorRegistry()
        one = ("role", "model")
        self._seconds = Histogram(
            "outcry_request_seconds", "Time of a request that a model answered.", one, buckets=SECONDS, registry=to
        )
        self._first = Histogram(
            "outcry_first_token_seconds", "Time to the first token, where streamed.", one, buckets=SECONDS, registry=to
        )
        self._requests = Counter(
            "outcry_requests", "Requests by outcome, and who answered.", (*one, "outcome", "source"), registry=to
        )
        self._retries = Counter("outcry_retries", "Requests that were a second try.", one, registry=to)
        self._tokens = Counter("outcry_tokens", "Tokens as the server counted them.", (*one, "kind"), registry=to)
        self._unreadable = Counter(
            "outcry_parse_failures", "Answers that could not be read.", (*one, "outcome"), registry=to
        )
        self._roles = Histogram(
            "outcry_role_seconds", "Time of a whole role in a run.", ("role",), buckets=SECONDS, registry=to
        )
        self._silent = Counter("outcry_no_findings", "Roles that found nothing.", ("role",), registry=to)
        self._drops = Counter(
            "outcry_evidence_drops", "Claims left out, since no evidence carries them.", ("role",), registry=to
        )
        self._stood_in = Counter("outcry_stood_in", "Seats in which somebody else answered.", ("role",), registry=to)
        self._runs = Counter("outcry_runs", "Runs that ended with a report.", ("kind", "degraded"), registry=to)
        self._in_flight = Gauge("outcry_runs_in_flight", "Runs under way.", registry=to)
        Info("outcry_build", "The version that runs.", registry=to).info({"version": VERSION})
        ProcessCollector(namespace="outcry", registry=to)
        self._close: Callable[[], None] = _nothing

    def asked(self, request: Asked) -> None:
        """Count one request, ended."""
        one = (request.role, request.model)
        self._requests.labels(*one, request.outcome, request.source).inc()
        if request.retried:
            self._retries.labels(*one).inc()
        if request.outcome in UNREADABLE:
            self._unreadable.labels(*one, request.outcome).inc()
        if request.source != "model":
            return
        self._seconds.labels(*one).observe(request.seconds)
        if request.first:
            self._first.labels(*one).observe(request.first)
        for kind in ("prompt", "answer", "cached"):
            self._tokens.labels(*one, kind).inc(getattr(request, kind))

    def answered(self, report: Report) -> None:
        """Count one run that ended with a report."""
        self._runs.labels(report.question.kind, "yes" if report.stood_in else "no").inc()
        for role in (*(finding.role for finding in report.findings), "coordinator"):
            if role in report.timings:
                self._roles.labels(role).observe(report.timings[role])
        for finding in report.findings:
            self._silent.labels(finding.role).inc(isinstance(finding, NoFinding))
        for dropped in report.dropped:
            self._drops.labels(dropped.role).inc()
        for other in report.stood_in:
            self._stood_in.labels(other.role).inc()

    @contextmanager
    def in_flight(self) -> Generator[None]:
        """A run is under way within."""
        with self._in_flight.track_inprogress():
            yield

    def watch(self, read: Callable[[], Standing]) -> None:
        """Serve what *read* gives, too; it is read whenever somebody looks."""
        from prometheus_client.registry import Collector

        class Watched(Collector):
            """What stands behind the seats, as it is when somebody looks."""

            def collect(self) -> "Iterator[Metric]":
                """The metrics of now."""
                return _standing(read())

        self.registry.register(Watched())

    def serve(self, port: int) -> None:
        """Answer at 127.0.0.1:*port*/metrics until `close`. A port that is taken is logged, and nothing is served."""
        from prometheus_client import start_http_server

        try:
            server, thread = start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as error:
            log.warning("no metrics are served", port=port, reason=error.strerror)
            return

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._close = close

    def close(self) -> None:
        """Serve no longer."""
        self._close()
        self._close = _nothing


def _nothing() -> None: ...


def _standing(now: Standing) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    outstanding = GaugeMetricFamily("outcry_outstanding_requests", "Requests in the air.", labels=("model", "url"))
    for labels, count in now.outstanding.items():
        outstanding.add_metric(labels, count)
    alone = GaugeMetricFamily("outcry_breaker_open", "Whether a model is left alone after failures.", labels=["model"])
    for model, left in now.alone.items():
        alone.add_metric([model], float(left))
    lookups = CounterMetricFamily("outcry_cache_lookups", "Lookups in the cache by their result.", labels=["result"])
    for result, count in now.lookups.items():
        lookups.add_metric([result], count)
    yield from (outstanding, alone, lookups)
