"""Show partial results as they come, and ask for the status at the same time, with asyncio.

python3 examples/python_async.py [SOCKET]
"""

import asyncio
import sys

from ser_daemon.client import AsyncClient, Emotion, NotAllowed, NotRunning, VoiceStarted


async def main(path: str | None) -> None:
    """Print until the daemon ends."""
    async with AsyncClient(path) as client:
        async for event in client.subscribe():
            match event:
                case VoiceStarted():
                    status = await client.request("status")
                    print(event.utterance_id, "begins, the level is", status["level_dbfs"], flush=True)
                case Emotion():
                    print(event.utterance_id, "final" if event.final else "so far", event.label, flush=True)


try:
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
except (NotRunning, NotAllowed) as error:
    sys.exit(str(error))
