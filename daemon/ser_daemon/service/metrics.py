"""Counters and gauges about the process, for the request `metrics`."""

from __future__ import annotations

import os
import resource
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ser_daemon.pipeline.capture_snapshot import CaptureSnapshot
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.wire.events import Emotion, Event, VoiceStarted
from ser_model.labels import UNKNOWN
from ser_model.types import SAMPLE_RATE

LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""In seconds: partial results take milliseconds, finals wait for the hangover of the gate."""

CONFIDENCE_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

LATENCIES = 512
"""Updates over which the latency quantiles are taken."""


class Metrics:
    """Counts published events; reads everything else on request."""

    def __init__(self) -> None:
        self.utterances = 0
        self.updates = 0
        self.finals = 0
        self.unknown_finals = 0
        self.update_latency = Histogram(LATENCY_BOUNDS)
        self.final_latency = Histogram(LATENCY_BOUNDS)
        self.final_confidence = Histogram(CONFIDENCE_BOUNDS)
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._started = time.monotonic()

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the process was set up."""
        return time.monotonic() - self._started

    def count(self, event: Event) -> None:
        """Count a published event."""
        match event:
            case VoiceStarted():
                self.utterances += 1
            case Emotion(final=True):
                self.finals += 1
                self.unknown_finals += event.label == UNKNOWN
                self.final_latency.observe(event.latency_ms / 1000)
                self.final_confidence.observe(event.confidence)
            case Emotion():
                # Finals wait for the hangover by design; updates show how prompt the daemon is.
                self.updates += 1
                self._latencies.append(event.latency_ms)
                self.update_latency.observe(event.latency_ms / 1000)

    def snapshot(self, capture: CaptureSnapshot, queue: SpeechQueue) -> dict[str, float | int]:
        """Return all counters and gauges by name; the names carry the units."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        latencies = sorted(self._latencies)
        return {
            "uptime_seconds": round(self.uptime_seconds, 1),
            "utterances": self.utterances,
            "updates": self.updates,
            "finals": self.finals,
            "finals_unknown": self.unknown_finals,
            "update_latency_ms_p50": _quantile(latencies, 0.5),
            "update_latency_ms_p99": _quantile(latencies, 0.99),
            "overflows": capture.overflows,
            "reopened": capture.reopened,
            "samples": capture.position,
            # With it a test that knows when audio was played can compute the delay of each event.
            "origin_boot_seconds": round(capture.clock_origin or 0.0, 6),
            "samples_missing": capture.lost,
            "samples_dropped": queue.dropped,
            "queue_ms": queue.waiting * 1000 // SAMPLE_RATE,
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "rss_bytes": _rss_bytes(),
        }

    def histograms(self) -> dict[str, object]:
        """Return all histograms by name, see `Histogram.data`; seconds where a name says so."""
        return {
            "update_latency_seconds": self.update_latency.data(),
            "final_latency_seconds": self.final_latency.data(),
            "final_confidence": self.final_confidence.data(),
        }


class Histogram:
    """Counts values by the smallest bound that they do not exceed, since the start."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def data(self) -> dict[str, object]:
        """Return `bounds`, `counts` (of each, then of what is above all of them; not cumulative) and `sum`."""
        return {"bounds": list(self._bounds), "counts": list(self._counts), "sum": round(self._sum, 6)}


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that a `share` of the values does not exceed; 0 without any values."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def _rss_bytes() -> int:
    """Return the resident memory (proc(5), statm, second field)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
