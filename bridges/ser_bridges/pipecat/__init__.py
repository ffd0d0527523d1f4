"""A processor for pipelines of Pipecat: tells the language model how the user sounded.

from ser_bridges.pipecat import SerPerceptionProcessor
"""

from ser_bridges.perception.prompt import INSTRUCTION
from ser_bridges.pipecat.processor import SerPerceptionProcessor

__all__ = ["INSTRUCTION", "SerPerceptionProcessor"]
