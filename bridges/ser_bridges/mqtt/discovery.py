"""The message by which Home Assistant finds the device with all its entities.

Source: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, "device discovery payload" (Home Assistant
2024.11 and later). Names are written in full, not abbreviated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ser_bridges.mqtt.identity import Topics

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The labels of the models that ship, until the daemon has named its own; `unknown` is no label."""


def discovery(topics: Topics, device: str, room: str, version: str, labels: Sequence[str] = LABELS) -> dict[str, Any]:
    """Return the discovery message of a device.

    Args:
        topics: of the microphone.
        device: its id.
        room: as a person writes it; Home Assistant suggests it as the area.
        version: of ser-daemon.
        labels: of the daemon's model.
    """
    components = _results(topics, labels) | _states(topics) | _controls(topics) | _diagnostics(topics)
    for name, component in components.items():
        component["unique_id"] = f"{device}_{name}"
    return {
        "device": {
            "identifiers": [device],
            "name": f"{room} voice",
            "manufacturer": "ser-daemon",
            "model": "Speech emotion",
            "sw_version": version,
            "suggested_area": room,
        },
        "origin": {"name": "ser-mqtt", "sw_version": version},
        "components": components,
        # A component of its own list needs only that.
        "availability": _needs(topics.status, topics.daemon),
        "availability_mode": "all",
        "qos": 1,
    }


def _needs(*topics: str) -> list[dict[str, str]]:
    """Availability that needs every one of the topics to say `online`."""
    return [{"topic": topic, "payload_available": "online", "payload_not_available": "offline"} for topic in topics]


def _results(topics: Topics, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    def sensor(name: str, template: str, **more: Any) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": name,
            "state_topic": topics.utterance,
            "value_template": template,
            **more,
        }

    # Home Assistant takes the text None for a state that is not known.
    label = "{{ None if value_json.label == 'unknown' else value_json.label }}"
    level = "{{ value_json.activation.level if value_json.activation.level in ('low', 'high') else None }}"
    return {
        "emotion": sensor(
            "Emotion",
            label,
            device_class="enum",
            options=list(labels),
            json_attributes_topic=topics.utterance,
            icon="mdi:emoticon-outline",
        ),
        "confidence": sensor(
            "Confidence",
            "{{ (value_json.confidence * 100) | round(0) }}",
            unit_of_measurement="%",
            state_class="measurement",
            icon="mdi:gauge",
        ),
        "arousal": sensor("Arousal", "{{ value_json.arousal }}", state_class="measurement", icon="mdi:heart-pulse"),
        "activation": sensor("Activation", level, device_class="enum", options=["low", "high"]),
        "utterance": {
            "platform": "event",
            "name": "Utterance",
            "state_topic": topics.utterance,
            "event_types": [*labels, "unknown"],
            "icon": "mdi:account-voice",
        },
    }


def _states(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "speaking": {
            "platform": "binary_sensor",
            "name": "Speaking",
            "state_topic": topics.speaking,
            "payload_on": "ON",
            "payload_off": "OFF",
            "device_class": "sound",
        },
        "microphone": {
            "platform": "sensor",
            "name": "Microphone",
            "state_topic": topics.microphone,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topics.microphone,
            "icon": "mdi:microphone",
            "entity_category": "diagnostic",
            "availability": _needs(topics.status),
        },
    }


def _controls(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "mute": {
            "platform": "switch",
            "name": "Mute",
            "state_topic": topics.mute,
            "command_topic": topics.command("mute"),
            "payload_on": "ON",
            "payload_off": "OFF",
            "optimistic": False,
            "icon": "mdi:microphone-off",
        },
        "reset_adaptation": {
            "platform": "button",
            "name": "Reset adaptation",
            "command_topic": topics.command("reset-adaptation"),
            "payload_press": "PRESS",
            "entity_category": "config",
            "icon": "mdi:restore",
        },
    }


def _diagnostics(topics: Topics) -> dict[str, dict[str, Any]]:
    def sensor(name: str, key: str, **more: Any) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": name,
            "state_topic": topics.diagnostics,
            "value_template": f"{{{{ value_json.{key} }}}}",
            "entity_category": "diagnostic",
            "enabled_by_default": False,
            **more,
        }

    return {
        "daemon": {
            "platform": "binary_sensor",
            "name": "Daemon",
            "state_topic": topics.daemon,
            "payload_on": "online",
            "payload_off": "offline",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "availability": _needs(topics.status),
        },
        "level": sensor("Level", "level_dbfs", unit_of_measurement="dBFS", state_class="measurement"),
        "noise_floor": sensor("Noise floor", "noise_floor_dbfs", unit_of_measurement="dBFS", state_class="measurement"),
        "lost": sensor("Lost results", "lost", state_class="total_increasing", availability=_needs(topics.status)),
    }
