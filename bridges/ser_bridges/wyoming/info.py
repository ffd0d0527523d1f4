"""What the service says about itself."""

from __future__ import annotations

from wyoming.event import Event
from wyoming.info import Attribution, Info, WakeModel, WakeProgram

from ser_model import __version__
from ser_model.network.estimator import Model

_ATTRIBUTION = Attribution(name="ser-daemon", url="https://arxiv.org/abs/2606.03359")


def make_info(model: Model) -> Event:
    """Return the answer to `describe`.

    Wyoming has no domain for emotions. The service is listed as a wake program, since a client uses it in the same
    way: it sends audio without end, and gets events when there is something to tell. `detect` is answered as the
    protocol asks, with `not-detected` at the end of the audio. In other domains a client would wait for an answer
    that never comes: a transcript, a response, or audio.
    """
    network = WakeModel(
        name=model.name,
        attribution=_ATTRIBUTION,
        installed=True,
        description="Emotion of speech; never wakes",
        version=__version__,
        languages=[],
        phrase=None,
    )
    program = WakeProgram(
        name="ser-daemon",
        attribution=_ATTRIBUTION,
        installed=True,
        description="How something was said: events voice-started, emotion and voice-stopped",
        version=__version__,
        models=[network],
    )
    event = Info(wake=[program]).event()
    # Beside the domains of Wyoming, as on the daemon's own socket. The official client ignores it.
    event.data["ser"] = [{"name": "ser-daemon", "version": __version__, "model": model.name, "labels": [*model.labels]}]
    return event
