"""A client of the daemon for Python programs. Needs only the standard library.

    from ser_daemon.client import Client, Emotion

    with Client() as client:
        for event in client.subscribe(partial=False):
            if isinstance(event, Emotion):
                print(event.utterance_id, event.label, event.confidence)

`AsyncClient` has the same methods as coroutines and asynchronous iterators.
"""

from ser_daemon.client.async_client import AsyncClient
from ser_daemon.client.sync_client import Client
from ser_daemon.client.wire import NotAllowed, NotRunning, RequestFailed
from ser_daemon.wire.event_reading import ProtocolError
from ser_daemon.wire.events import (
    Activation,
    AudioState,
    Emotion,
    Event,
    Hello,
    VoiceStarted,
    VoiceStopped,
)
from ser_daemon.wire.protocol import CaptureState

__all__ = [
    "Activation",
    "AsyncClient",
    "AudioState",
    "CaptureState",
    "Client",
    "Emotion",
    "Event",
    "Hello",
    "NotAllowed",
    "NotRunning",
    "ProtocolError",
    "RequestFailed",
    "VoiceStarted",
    "VoiceStopped",
]
