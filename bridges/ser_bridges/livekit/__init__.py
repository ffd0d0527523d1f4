"""An agent of LiveKit that tells the language model how the user sounded: `SerPerceptionAgent`."""

from ser_bridges.livekit.agent import SerPerceptionAgent
from ser_bridges.perception.prompt import INSTRUCTION

__all__ = ["INSTRUCTION", "SerPerceptionAgent"]
