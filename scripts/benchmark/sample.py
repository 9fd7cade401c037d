"""What one slice of load measured, and the median of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass
class Sample:
    """``requests`` answered in ``seconds``; ``payload_bytes`` are those of objects.

    ``cpu_us`` is the server's CPU time per request, ``busiest`` the share of it that its busiest process used: 1/n when connections
    were spread evenly over n processes, 1 when one of them got all.
    """

    requests: float
    seconds: float
    payload_bytes: float
    p50_ms: float
    p99_ms: float
    errors: int = 0
    cpu_us: float | None = None
    busiest: float | None = None

    @property
    def per_s(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def mb_s(self) -> float:
        """Payload in 10**6 bytes per second."""
        return self.payload_bytes / self.seconds / 1e6 if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"per_s": self.per_s, "mb_s": self.mb_s}


def of_latencies(latencies_s: Sequence[float], seconds: float, payload_bytes: float, errors: int = 0) -> Sample:
    """A sample from the latency of each request, in seconds."""
    ordered = sorted(latencies_s) or [0.0]
    return Sample(len(latencies_s), seconds, payload_bytes, 1e3 * at_percentile(ordered, 50), 1e3 * at_percentile(ordered, 99), errors)


def at_percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that ``percent`` of an ordered sequence do not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * int(percent * 10) // 1000) - 1))]


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of every column, scaled to one second; errors are added up."""
    costs = [sample.cpu_us for sample in samples if sample.cpu_us is not None]
    shares = [sample.busiest for sample in samples if sample.busiest is not None]
    return Sample(
        median(sample.per_s for sample in samples), 1.0, median(sample.mb_s for sample in samples) * 1e6,
        median(sample.p50_ms for sample in samples), median(sample.p99_ms for sample in samples),
        sum(sample.errors for sample in samples), median(costs) if costs else None,
        median(shares) if shares else None,
    )  # fmt: skip
