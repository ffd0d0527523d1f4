"""Write the label of each utterance in audio files as CSV, without a daemon.

python3 examples/label_wav.py FILE...
"""

import csv
import sys

from ser_model import Recognizer, read_audio
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, EmotionResult

writer = csv.writer(sys.stdout)
writer.writerow(["file", "start", "end", "label", "confidence"])
try:
    for path in sys.argv[1:]:
        # A new one for each file: its clock starts at 0.
        recognizer = Recognizer()
        for result in recognizer.push(read_audio(path)) + recognizer.finish():
            if isinstance(result, EmotionResult) and result.final:
                start, end = result.start / SAMPLE_RATE, result.end / SAMPLE_RATE
                writer.writerow([path, f"{start:.2f}", f"{end:.2f}", result.label, f"{result.confidence:.2f}"])
except SerError as error:
    sys.exit(str(error))
