"""Answers to requests as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ser_daemon.views.text import describe_state
from ser_model.printable import printable


def describe_hold(answer: Mapping[str, Any]) -> str:
    """Describe the answer to `hold` in a sentence."""
    ms = answer.get("ms")
    return "Held until `ser-ctl release`." if ms is None else f"Held for {ms / 1000:g} s."


def describe_metrics(answer: Mapping[str, Any]) -> str:
    """Describe the answer to `metrics`: one counter a line, sorted by name."""
    return "\n".join(printable(f"{name:<32}{_number(value):>14}") for name, value in sorted(answer.items()))


def describe_status(answer: Mapping[str, Any]) -> str:
    """Describe the answer to `status` in a few lines."""
    speech = "somebody speaks" if answer.get("speaking") else "nobody speaks"
    state = describe_state(str(answer.get("state")), answer.get("device"), answer.get("reason"))
    uptime = _duration(float(answer.get("uptime_seconds") or 0))
    rows = [
        ("state", f"{state}, {speech}" if answer.get("state") == "listening" else state),
        ("level", f"{_db(answer.get('level_dbfs'))}, noise floor {_db(answer.get('noise_floor_dbfs'))}"),
        ("model", f"{answer.get('model')}{_adaptation(answer)}"),
        ("running", f"version {answer.get('version')}, for {uptime}"),
        ("events", f"{answer.get('seq')} published"),
    ]
    return "\n".join(f"{name:<9}{printable(text)}" for name, text in rows)


def _adaptation(answer: Mapping[str, Any]) -> str:
    """Describe the adaptation, to be put after the name of the model."""
    match answer.get("adaptation"):
        case "running":
            return f", adapted to {float(answer.get('adaptation_seconds') or 0):.0f} s of speech"
        case "profile":
            return ", adapted by a speaker's profile"
        case "taught":
            counts = answer.get("taught") or {}
            return (
                f", taught by {counts.get('examples', 0)} examples "
                f"({counts.get('profile', 0)} of the profile, {counts.get('corrections', 0)} corrections)"
            )
    return ""


def describe_taught(answer: Mapping[str, Any]) -> str:
    """Describe the answer to `taught`: the counts by label, and the newest corrections with their time."""
    corrections = answer.get("refusal") if not answer["corrections"] else None
    lines = [
        f"profile      {_counts(answer['profile'])}",
        f"corrections  {corrections or _counts(answer['corrections'])}",
    ]
    lines += [
        f"{'':<13}{_local_time(str(one['time']))}  {one['label']:<10}{one.get('utterance_id', '')}".rstrip()
        for one in answer["newest"]
    ]
    return "\n".join(map(printable, lines))


def _counts(labels: Mapping[str, int]) -> str:
    total = sum(labels.values())
    if not total:
        return "none"
    return f"{total} ({', '.join(f'{label} {count}' for label, count in labels.items())})"


def _local_time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def describe_info(answer: Mapping[str, Any]) -> str:
    """Describe the answer to `describe`: version, model and labels."""
    lines = []
    for program in answer.get("ser", []):
        lines.append(f"{program['name']} {program['version']}, protocol {program['protocol']}")
        lines += [f"model {model['name']}: {' '.join(model['labels'])}" for model in program["models"]]
    return "\n".join(map(printable, lines))


def _db(level: float | None) -> str:
    return "unknown" if level is None else f"{level:.1f} dBFS"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{seconds:.0f} s"
