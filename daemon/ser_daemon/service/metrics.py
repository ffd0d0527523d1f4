"""Counters and gauges about the process, for the request `metrics`."""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ser_daemon.pipeline.capture_snapshot import CaptureSnapshot
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.wire.events import Emotion, Event, VoiceStarted
from ser_model.types import SAMPLE_RATE

LATENCIES = 512
"""Updates over which the latency quantiles are taken."""


class Metrics:
    """Counts published events; reads everything else on request."""

    def __init__(self) -> None:
        self.utterances = 0
        self.updates = 0
        self.finals = 0
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
            case Emotion():
                # Finals wait for the hangover by design; updates show how prompt the daemon is.
                self.updates += 1
                self._latencies.append(event.latency_ms)

    def snapshot(self, capture: CaptureSnapshot, queue: SpeechQueue) -> dict[str, float | int]:
        """Return all counters and gauges by name; the names carry the units."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        latencies = sorted(self._latencies)
        return {
            "uptime_seconds": round(self.uptime_seconds, 1),
            "utterances": self.utterances,
            "updates": self.updates,
            "finals": self.finals,
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
