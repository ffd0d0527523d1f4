"""Keep the answers in an SQLite database, once each, also when the program runs twice.

    python3 examples/sqlite_log.py DATABASE [SOCKET]
    sqlite3 DATABASE 'SELECT label, count(*) FROM answers GROUP BY label'

Tell everybody in the room that you keep them.
"""

import sqlite3
import sys

from ser_daemon.client import Client, Emotion, NotAllowed, NotRunning

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(
    "CREATE TABLE IF NOT EXISTS answers "
    "(time TEXT, utterance_id TEXT, label TEXT, confidence REAL, activation REAL, PRIMARY KEY (time, utterance_id))"
)
try:
    with Client(sys.argv[2] if len(sys.argv) > 2 else None) as client:
        for event in client.subscribe(events=["emotion"], partial=False):
            if isinstance(event, Emotion):
                activation = event.activation.probability if event.activation else None
                row = (event.time, event.utterance_id, event.label, event.confidence, activation)
                database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", row)
except (NotRunning, NotAllowed) as error:
    sys.exit(str(error))
