"""The answers to `metrics` and `status` in Prometheus' text format.

Source: https://prometheus.io/docs/instrumenting/exposition_formats and /docs/practices/naming: base units, and counters
that end in `_total`. Labels of emotions are not exported: a monitoring system is not where they belong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ser_daemon.wire.protocol import CaptureState
from ser_model.printable import printable

PREFIX = "ser_daemon_"


class Metric(NamedTuple):
    """How a value of the answer to `metrics` is exported."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    factor: float = 1.0
    """To the base unit."""


METRICS = {
    "uptime_seconds": Metric("uptime_seconds", "gauge", "Time since the daemon was started."),
    "utterances": Metric("utterances_total", "counter", "Utterances that have begun."),
    "updates": Metric("partial_results_total", "counter", "Partial results published."),
    "finals": Metric("finals_total", "counter", "Final results published."),
    "finals_unknown": Metric("unknown_finals_total", "counter", "Final results whose label is unknown."),
    "overflows": Metric("overflows_total", "counter", "Times that the sound system has lost audio."),
    "reopened": Metric("reopened_total", "counter", "Times that the device was opened again."),
    "samples": Metric("audio_seconds_total", "counter", "Audio received, at 16 kHz.", 1 / 16_000),
    "samples_missing": Metric("missing_audio_seconds_total", "counter", "Audio that never came.", 1 / 16_000),
    "samples_dropped": Metric("dropped_audio_seconds_total", "counter", "Speech dropped, queue full.", 1 / 16_000),
    "queue_ms": Metric("queue_seconds", "gauge", "Speech that waits for the network.", 1 / 1000),
    "cpu_seconds": Metric("cpu_seconds_total", "counter", "Processor time, user and system."),
    "rss_bytes": Metric("resident_memory_bytes", "gauge", "Resident memory."),
    "events_published": Metric("events_published_total", "counter", "Events published."),
    "events_dropped": Metric("events_dropped_total", "counter", "Partial results that slow subscribers lost."),
    "subscribers": Metric("subscribers", "gauge", "Clients that get events."),
    "subscribers_cut_off": Metric("subscribers_cut_off_total", "counter", "Subscribers disconnected: too slow."),
    "clients": Metric("clients", "gauge", "Connections."),
    "clients_rejected": Metric("clients_rejected_total", "counter", "Connections refused: all places were taken."),
    "clients_displaced": Metric("clients_displaced_total", "counter", "Connections that made room for others."),
    "answer_bytes_waiting": Metric("waiting_answers_bytes", "gauge", "Answers that clients have not read yet."),
}
"""Metrics by their name in the answer."""

NOT_EXPORTED = ("update_latency_ms_p50", "update_latency_ms_p99", "origin_boot_seconds")
"""Names in the answer with no metric: the histograms tell the latency, and the origin of the clock is for tests."""

HISTOGRAMS = {
    "update_latency_seconds": "From the last sample used to a partial result.",
    "final_latency_seconds": "From the last sample used to a final result; holds the hangover of the gate.",
    "final_confidence": "Score of the highest label of a final result, also where the label is unknown.",
}

NAMES = {
    *(PREFIX + metric.name for metric in METRICS.values()),
    *(f"{PREFIX}{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")),
    *(PREFIX + name for name in ("up", "build_info", "state", "muted")),
}
"""Names of all series."""


def prometheus_text(metrics: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Return the text of a daemon that answers.

    Args:
        metrics: answer to `metrics`, with or without `histograms`. Values of other names are left out.
        status: answer to `status`.

    Raises:
        TypeError, ValueError, LookupError: the answers are another program's.
    """
    lines = [*_metric("up", "gauge", "Whether the daemon answers.", [("", 1)])]
    build = {name: str(status[name]) for name in ("version", "model", "protocol")}
    lines += _metric("build_info", "gauge", "Version, model and protocol, as labels.", [(_labels(build), 1)])
    states = [(_labels({"state": state}), int(status["state"] == state)) for state in CaptureState]
    lines += _metric("state", "gauge", "1 for the state of the audio capture.", states)
    lines += _metric("muted", "gauge", "Whether the microphone is closed.", [("", int(bool(status["muted"])))])
    for name, metric in METRICS.items():
        if metrics.get(name) is not None:
            value = float(metrics[name]) * metric.factor
            lines += _metric(metric.name, metric.kind, metric.help, [("", value)])
    for name, text in HISTOGRAMS.items():
        if name in metrics.get("histograms", {}):
            lines += _histogram(name, text, metrics["histograms"][name])
    return "\n".join(lines) + "\n"


def absent_text() -> str:
    """Return the text of a daemon that does not answer."""
    return "\n".join(_metric("up", "gauge", "Whether the daemon answers.", [("", 0)])) + "\n"


def _metric(name: str, kind: str, text: str, series: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {text}"
    yield f"# TYPE {PREFIX}{name} {kind}"
    for labels, value in series:
        yield f"{PREFIX}{name}{labels} {_number(value)}"


def _histogram(name: str, text: str, data: Mapping[str, Any]) -> Iterator[str]:
    """Write a histogram; its buckets are cumulative, other than those of the answer."""
    yield f"# HELP {PREFIX}{name} {text}"
    yield f"# TYPE {PREFIX}{name} histogram"
    count = 0
    for bound, more in zip([*data["bounds"], math.inf], data["counts"], strict=True):
        count += int(more)
        yield f"{PREFIX}{name}_bucket{_labels({'le': _number(bound)})} {count}"
    yield f"{PREFIX}{name}_sum {_number(data['sum'])}"
    yield f"{PREFIX}{name}_count {count}"


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {
        # `printable` leaves no line breaks.
        name: printable(value).replace("\\", r"\\").replace('"', r"\"")
        for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else f"{float(value):.9g}"
