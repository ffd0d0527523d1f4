"""Print the answer to each utterance, with the client that needs only the standard library.

python3 examples/python_sync.py [SOCKET]
"""

import sys

from ser_daemon.client import Client, Emotion, NotAllowed, NotRunning

try:
    with Client(sys.argv[1] if len(sys.argv) > 1 else None) as client:
        # With reconnect=True it would wait for a daemon, and come back after a restart.
        for event in client.subscribe(partial=False):
            if isinstance(event, Emotion):
                print(event.utterance_id, event.label, event.confidence, flush=True)
except (NotRunning, NotAllowed) as error:
    sys.exit(str(error))
