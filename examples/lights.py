"""Let lights follow the arousal of the voice: dim and warm for an agitated one. It only prints what it would set.

python3 examples/lights.py [SOCKET]
"""

import sys

from ser_daemon.client import Client, Emotion, NotAllowed, NotRunning

SLOWNESS = 0.7
"""Share of the old value that is kept: lights that jump with every word annoy."""

arousal = 0.5
try:
    with Client(sys.argv[1] if len(sys.argv) > 1 else None) as client:
        for event in client.subscribe(events=["emotion"]):
            # `probability` is that of high arousal, whatever the level. It is None where the model cannot say.
            if isinstance(event, Emotion) and event.activation is not None and event.activation.level != "unknown":
                arousal = SLOWNESS * arousal + (1 - SLOWNESS) * event.activation.probability
                print(f"brightness {100 - 60 * arousal:.0f} %, {4000 - 1800 * arousal:.0f} K", flush=True)
except (NotRunning, NotAllowed) as error:
    sys.exit(str(error))
