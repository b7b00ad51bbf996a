"""A small Prometheus registry: counters, histograms and gauges read at scrape time, and their text form.

Rules:
1. Names are `llmcp_<noun>_<unit>[_total]`; a name is registered once.
2. Label values are few by construction: providers, operations, outcomes. Never a model, a user or a key.
3. Incrementing allocates nothing once a label set has been seen, and takes no lock: each metric has one writing thread.
4. A gauge is a callable asked at scrape time, so that whoever owns the number needs to know nothing of metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

OVERHEAD_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)


def escape(value: str) -> str:
    """Escape a label value as the exposition format demands."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _labels(names: tuple[str, ...], values: tuple[str, ...], extra: str = "") -> str:
    parts = [f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True)]
    if extra:
        parts.append(extra)
    return "{" + ",".join(parts) + "}" if parts else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


@dataclass(slots=True)
class Counter:
    """A number that only grows, one per label set."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = field(default_factory=dict)

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add `by` to the series of `labels` (as many as the metric has names)."""
        self.values[labels] = self.values.get(labels, 0) + by

    def lines(self) -> Iterator[str]:
        """Yield the exposition lines."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} counter"
        series = self.values or ({} if self.labels else {(): 0})
        for labels, value in sorted(series.items()):
            yield f"{self.name}{_labels(self.labels, labels)} {_number(value)}"


@dataclass(slots=True)
class Gauge:
    """A number asked for at scrape time: `read` returns the value of each label set."""

    name: str
    help: str
    read: Callable[[], dict[tuple[str, ...], float]]
    labels: tuple[str, ...] = ()
    kind: str = "gauge"

    def lines(self) -> Iterator[str]:
        """Yield the exposition lines."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in sorted(self.read().items()):
            yield f"{self.name}{_labels(self.labels, labels)} {_number(value)}"


@dataclass(slots=True)
class Histogram:
    """Observations counted in buckets; `bounds` are upper bounds in rising order, in the unit of the name."""

    name: str
    help: str
    bounds: tuple[float, ...] = OVERHEAD_BUCKETS_S
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self) -> Iterator[str]:
        """Yield the exposition lines; buckets are cumulative."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        seen = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            yield f'{self.name}_bucket{{le="{_number(bound)}"}} {seen}'
        seen += self.counts[-1]
        yield f'{self.name}_bucket{{le="+Inf"}} {seen}'
        yield f"{self.name}_sum {_number(self.total)}"
        yield f"{self.name}_count {seen}"


class Registry:
    """All metrics of one daemon, rendered together."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> Counter:
        """Register a counter."""
        return self._add(Counter(name, help_, labels))

    def gauge(
        self,
        name: str,
        help_: str,
        read: Callable[[], float] | Callable[[], dict[tuple[str, ...], float]],
        labels: tuple[str, ...] = (),
        kind: str = "gauge",
    ) -> Gauge:
        """Register a gauge (or, with `kind="counter"`, a number somebody else counts). Without labels `read` returns the number."""

        def ask() -> dict[tuple[str, ...], float]:
            value = read()
            return value if isinstance(value, dict) else {(): value}

        return self._add(Gauge(name, help_, ask, labels, kind))

    def histogram(self, name: str, help_: str, bounds: tuple[float, ...] = OVERHEAD_BUCKETS_S) -> Histogram:
        """Register a histogram."""
        return self._add(Histogram(name, help_, bounds, [0] * (len(bounds) + 1)))

    def _add[T: (Counter, Gauge, Histogram)](self, metric: T) -> T:
        if metric.name in self._metrics:
            msg = f"metric {metric.name} is registered twice"
            raise ValueError(msg)
        self._metrics[metric.name] = metric
        return metric

    def render(self) -> str:
        """Return everything in the exposition format."""
        return "".join(line + "\n" for metric in self._metrics.values() for line in metric.lines())
