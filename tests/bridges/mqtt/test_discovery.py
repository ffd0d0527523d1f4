"""The discovery message follows the schema that Home Assistant documents.

The keys below are written down from Home Assistant's documentation (home-assistant.io, `_integrations/mqtt.markdown`
and the pages of the platforms) and from its source (`homeassistant/components/mqtt/schemas.py`, `event.py`).
"""

from __future__ import annotations

import json
import re

import pytest

from ser_bridges.mqtt.discovery import LABELS, discovery
from ser_bridges.mqtt.identity import make_topics
from ser_model.labels import LABELS as MODEL_LABELS

TOPICS = make_topics("ser-daemon", "homeassistant", "Kitchen", "ser-test")
MESSAGE = discovery(TOPICS, "ser-test", "Kitchen", "0.1.0")

DEVICE = {
    *("identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version", "serial_number"),
    *("sw_version", "via_device", "suggested_area", "configuration_url"),
}
ORIGIN = {"name", "sw_version", "support_url"}
AVAILABILITY = {"topic", "payload_available", "payload_not_available", "value_template"}
ROOT = {
    *("device", "origin", "components", "availability", "availability_mode", "availability_template"),
    *("availability_topic", "payload_available", "payload_not_available", "state_topic", "command_topic"),
    *("qos", "encoding"),
}
COMMON = {
    *("platform", "unique_id", "name", "icon", "entity_category", "enabled_by_default", "entity_picture"),
    *("json_attributes_topic", "json_attributes_template", "availability", "availability_mode", "qos", "encoding"),
    *("default_entity_id", "device_class", "value_template", "state_topic"),
}
PLATFORMS = {
    "sensor": {
        *("unit_of_measurement", "state_class", "expire_after", "force_update", "options"),
        *("suggested_display_precision", "last_reset_value_template"),
    },
    "binary_sensor": {"payload_on", "payload_off", "expire_after", "force_update", "off_delay"},
    "switch": {
        *("command_topic", "command_template", "payload_on", "payload_off", "state_on", "state_off"),
        *("optimistic", "retain"),
    },
    "button": {"command_topic", "command_template", "payload_press", "retain"},
    "event": {"event_types"},
}
REQUIRED = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "switch": {"command_topic"},
    "button": {"command_topic"},
    "event": {"state_topic", "event_types"},
}
DEVICE_CLASSES = {"sensor": {"enum"}, "binary_sensor": {"sound", "connectivity"}}
TOPIC = re.compile(r"[^+#\0]+")


def test_the_root_has_only_documented_keys_and_the_required_ones() -> None:
    assert set(MESSAGE) <= ROOT
    assert {"device", "origin", "components"} <= set(MESSAGE), "mandatory in a device discovery payload"
    assert set(MESSAGE["device"]) <= DEVICE
    assert MESSAGE["device"]["identifiers"]
    assert set(MESSAGE["origin"]) <= ORIGIN
    assert MESSAGE["origin"]["name"]
    assert MESSAGE["availability_mode"] in ("all", "any", "latest")
    assert MESSAGE["qos"] in (0, 1, 2)
    assert all(set(each) <= AVAILABILITY and "topic" in each for each in MESSAGE["availability"])


@pytest.mark.parametrize("name", MESSAGE["components"])
def test_a_component_has_only_documented_keys_and_the_required_ones(name: str) -> None:
    component = MESSAGE["components"][name]
    platform = component["platform"]
    assert set(component) <= COMMON | PLATFORMS[platform]
    assert {"platform", "unique_id"} | REQUIRED[platform] <= set(component)
    assert component.get("entity_category") in (None, "diagnostic", "config")
    # Documented: a sensor cannot have the category config, nor a button or switch the category diagnostic state.
    assert platform not in ("sensor", "binary_sensor") or component.get("entity_category") != "config"
    assert component.get("device_class") in {None, *DEVICE_CLASSES.get(platform, ())}
    assert component.get("state_class") in (None, "measurement", "total", "total_increasing")
    assert re.fullmatch(r"mdi:[a-z-]+", component.get("icon", "mdi:x"))
    for key in ("state_topic", "command_topic", "json_attributes_topic"):
        assert TOPIC.fullmatch(component.get(key, "x"))
    assert all(set(each) <= AVAILABILITY and "topic" in each for each in component.get("availability", ()))


def test_options_are_only_with_the_class_enum_and_without_unit_or_state_class() -> None:
    for component in MESSAGE["components"].values():
        assert ("options" in component) == (component.get("device_class") == "enum")
        assert "options" not in component or not {"unit_of_measurement", "state_class"} & set(component)


def test_unique_ids_are_unique_and_name_the_device() -> None:
    ids = [component["unique_id"] for component in MESSAGE["components"].values()]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("ser-test_") for each in ids)


def test_the_entities_that_are_promised_are_there() -> None:
    promised = {
        **dict.fromkeys(("emotion", "confidence", "arousal", "activation", "microphone"), "sensor"),
        "speaking": "binary_sensor",
        "mute": "switch",
        "reset_adaptation": "button",
        "utterance": "event",
    }
    assert {name: MESSAGE["components"][name]["platform"] for name in promised} == promised


def test_the_labels_are_those_of_the_model() -> None:
    assert tuple(MODEL_LABELS) == LABELS
    other = discovery(TOPICS, "ser-test", "Kitchen", "0.1.0", ["cold", "warm"])
    assert other["components"]["emotion"]["options"] == ["cold", "warm"]
    assert other["components"]["utterance"]["event_types"] == ["cold", "warm", "unknown"]


def test_the_message_is_json_of_a_size_that_brokers_take() -> None:
    assert len(json.dumps(MESSAGE)) < 8192
