"""The automations of the documentation: keys that Home Assistant documents, and templates that real results decide.

The keys are those of home-assistant.io: automation/yaml, docs/automation/trigger, docs/scripts. There is no Home
Assistant here; jinja2, which it uses, renders the templates.
"""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ser_bridges.mqtt.identity import make_topics
from ser_bridges.mqtt.messages import Publisher
from ser_bridges.mqtt.outbox import Message, Outbox
from ser_daemon.wire.events import Activation
from support.scripted_daemon import emotion

sandbox = pytest.importorskip("jinja2.sandbox")

PAGE = (Path(__file__).resolve().parents[3] / "docs/bridge-mqtt.md").read_text()
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"^ *```yaml\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)]
AUTOMATIONS = {each["alias"]: each for example in EXAMPLES for each in example.get("automation", ())}

AUTOMATION_KEYS = {
    *("alias", "id", "description", "triggers", "conditions", "actions", "mode", "max", "max_exceeded", "variables"),
    *("trigger_variables", "initial_state", "trace"),
}
STATE_TRIGGER_KEYS = {
    *("trigger", "entity_id", "from", "to", "not_from", "not_to", "for", "attribute", "id", "variables", "enabled"),
}
ACTION_KEYS = {"action", "target", "data", "alias", "enabled", "continue_on_error", "response_variable"}
IF_KEYS = {"if", "then", "else", "alias", "enabled"}
DELAY_KEYS = {"delay", "alias", "enabled"}
TARGET_KEYS = {"entity_id", "device_id", "area_id", "floor_id", "label_id"}
ACTIONS = {
    *("light.turn_on", "input_boolean.turn_on", "input_boolean.turn_off"),
    *("counter.increment", "counter.reset", "notify.notify"),
}
"""Actions of integrations that come with Home Assistant."""
LIGHT_KEYS = {
    *("transition", "brightness", "brightness_pct", "brightness_step_pct", "color_temp_kelvin", "rgb_color", "profile"),
    *("hs_color", "xy_color", "color_name", "flash", "effect", "white"),
}


def render(template: str, attributes: dict[str, Any], states: dict[str, str]) -> str:
    environment = sandbox.ImmutableSandboxedEnvironment()
    trigger = SimpleNamespace(to_state=SimpleNamespace(state="2026-01-01T00:00:00+00:00", attributes=attributes))
    text: str = environment.from_string(template).render(
        trigger=trigger, states=lambda name: states.get(name, "unknown")
    )
    return text


def is_true(template: str, attributes: dict[str, Any], states: dict[str, str] | None = None) -> bool:
    """Whether a template condition holds: only `true` in any case does (helpers/condition: `async_template`)."""
    return render(template, attributes, states or {}).strip().lower() == "true"


def result(label: str, *, late: float = 0.0, **changes: Any) -> dict[str, Any]:
    """The attributes of the event entity after an utterance, through the bridge's own code and JSON."""
    outbox = Outbox()
    topics = make_topics("ser-daemon", "homeassistant", "Kitchen", "ser-test")
    Publisher(topics, "Kitchen", outbox).event(emotion("u-1", label, final=True, **changes))
    sent: list[Message] = [each for each in outbox._waiting.values() if each.topic == topics.utterance]
    attributes: dict[str, Any] = json.loads(sent[0].payload(sent[0].made + late))
    return attributes


def holds(alias: str, attributes: dict[str, Any]) -> bool:
    return all(is_true(each, attributes) for each in AUTOMATIONS[alias]["conditions"])


def all_actions(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Actions with those inside of `then` and `else`."""
    return actions + [
        inner for each in actions for inner in all_actions([*each.get("then", ()), *each.get("else", ())])
    ]


@pytest.mark.parametrize("alias", AUTOMATIONS)
def test_an_automation_has_only_documented_keys(alias: str) -> None:
    automation = AUTOMATIONS[alias]
    assert set(automation) <= AUTOMATION_KEYS
    assert {"triggers", "actions"} <= set(automation)
    assert automation.get("mode", "single") in ("single", "restart", "queued", "parallel")
    for trigger in automation["triggers"]:
        assert trigger["trigger"] == "state"
        assert set(trigger) <= STATE_TRIGGER_KEYS
        assert re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", trigger["entity_id"])
        if "for" in trigger:
            datetime.time.fromisoformat(trigger["for"])
    for action in all_actions(automation["actions"]):
        kinds = [keys for keys in (ACTION_KEYS, IF_KEYS, DELAY_KEYS) if set(action) <= keys]
        assert len(kinds) == 1, action
        assert set(action.get("target", ())) <= TARGET_KEYS
        if action.get("action") == "light.turn_on":
            assert set(action["data"]) <= LIGHT_KEYS


def test_nothing_is_switched_by_an_utterance_of_before_an_interruption() -> None:
    # After a restart of daemon or bridge the entity comes back with its last event, which is a change of its state.
    for automation in AUTOMATIONS.values():
        for trigger in automation["triggers"]:
            if trigger["entity_id"].startswith("event."):
                assert trigger["not_from"] == "unavailable"


def test_the_entities_are_those_of_the_device_in_a_room_named_kitchen() -> None:
    # Home Assistant joins the names of device and entity: "kitchen voice" and "Utterance".
    names = {trigger["entity_id"] for each in AUTOMATIONS.values() for trigger in each["triggers"]}
    assert names == {"event.kitchen_voice_utterance", "counter.kitchen_angry"}


@pytest.mark.parametrize(
    ("activation", "wanted"),
    [
        (Activation(level="high", probability=0.9), True),
        (Activation(level="low", probability=0.2), False),
        (Activation(level="unknown", probability=0.5), False),
        (None, False),
    ],
)
def test_the_light_follows_an_agitated_voice_also_where_the_label_is_unknown(
    activation: Activation | None, wanted: bool
) -> None:
    alias = "Softer light after an agitated voice"
    attributes = result("unknown", activation=activation)
    assert holds(alias, attributes) is wanted
    attributes.pop("activation", None)
    assert not holds(alias, attributes), "an older daemon has no activation"


@pytest.mark.parametrize("alias", [alias for alias, each in AUTOMATIONS.items() if each.get("conditions")])
def test_a_result_that_waited_for_the_broker_switches_nothing(alias: str) -> None:
    now = result("angry", activation=Activation(level="high", probability=0.9))
    assert holds(alias, now)
    assert not holds(alias, result("angry", late=60, activation=Activation(level="high", probability=0.9)))
    # The entity becomes unavailable, or is new: it has no attributes.
    assert not holds(alias, {})


@pytest.mark.parametrize(
    ("label", "action"),
    [("sad", "turn_on"), ("fearful", "turn_on"), ("happy", "turn_off"), ("unknown", "turn_off")],
)
def test_speech_is_slower_after_a_sad_or_fearful_voice(label: str, action: str) -> None:
    [step] = AUTOMATIONS["Answer slower to a sad or fearful voice"]["actions"]
    assert render(step["action"], result(label), {}) == f"input_boolean.{action}"


def test_a_person_is_told_after_three_angry_utterances_and_no_fewer() -> None:
    automation = AUTOMATIONS["Tell a person after three angry utterances"]
    assert holds(automation["alias"], result("angry"))
    assert not holds(automation["alias"], result("unknown"))
    [condition] = [step["if"] for step in automation["actions"] if "if" in step]
    told = [is_true(condition, {}, {"counter.kitchen_angry": str(count)}) for count in range(5)]
    assert told == [False, False, False, True, True]
    assert not is_true(condition, {}, {}), "the helper does not exist"


@pytest.mark.parametrize("alias", AUTOMATIONS)
def test_every_action_is_one_of_home_assistants_own(alias: str) -> None:
    for step in all_actions(AUTOMATIONS[alias]["actions"]):
        if "action" in step:
            assert render(step["action"], result("sad"), {}) in ACTIONS
