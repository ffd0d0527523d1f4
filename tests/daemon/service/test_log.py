"""The log has no line about what was said or how, at any level."""

from __future__ import annotations

import re

import pytest

from ser_model.labels import LABELS
from support.daemon import Daemon
from support.speech import synthetic_speech


@pytest.mark.parametrize("level", ["info", "debug"])
def test_no_label_and_no_score_is_logged(level: str) -> None:
    arguments = ("--service", "--mic", "stdin", "--rate", "16000", "--fast")
    with Daemon(*arguments, feed=True, environment={"SER_SERVICE_LOG_LEVEL": level}) as daemon:
        subscriber = daemon.subscribe()
        daemon.write(synthetic_speech())
        daemon.end_of_input()
        finals = [event["data"] for event in subscriber.rest() if event["type"] == "emotion" and event["data"]["final"]]
        assert daemon.wait() == 0
        printed = daemon.stderr + daemon.stdout
    # There was something to log.
    assert len(finals) >= 4
    assert "Audio state" in printed
    assert [label for label in (*LABELS, "unknown", "confidence") if re.search(rf"\b{label}\b", printed)] == []
    assert [final["utterance_id"] for final in finals if final["utterance_id"] in printed] == []
