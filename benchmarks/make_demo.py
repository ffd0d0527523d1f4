"""Make the bundled recording that `make run` plays without a microphone: sentences of two people from CREMA-D.

    python benchmarks/make_demo.py --corpus CREMA-D [--output daemon/ser_daemon/data/demo.flac]

CREMA-D is a corpus folder with index.csv (docs/training.md) and the columns votes_EMOTION: how many listeners heard
which emotion from the voice alone. The votes alone decide what is played, never the answers of a network:

- The speakers are 1064 (a man of 53) and 1006 (a woman of 58). Among all speakers the listeners heard the intended
  emotion most often from these two: the mean share of votes is .57 and .54. No network is trained on them.
- For each of the two and each of the six emotions, the recording is the one with the largest share of votes for the
  intended emotion. Among equals, it is a sentence that was played least often before, then the first by name.

Nothing in a recording changes, except for a short fade at both ends. Between the recordings is noise with the spectrum
and the level of their own room. The printed table belongs into daemon/ser_daemon/data/LICENSE-demo.txt. The same corpus
and the same libraries give the same file.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from ser_model.audio.files import read_audio
from ser_model.console import ArgumentParser, run
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.data.corpus_folder import INDEX, VOTES, open_corpus
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.types import SAMPLE_RATE, Samples

OUTPUT = Path(__file__).parents[1] / "daemon/ser_daemon/data/demo.flac"
SPEAKERS = ("1064", "1006")
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
PAUSE_SECONDS = 1.3
"""Longer than the hangover of the gate, 0.7 s."""
FADE = SAMPLE_RATE // 20
"""Samples over which a recording and the noise beside it overlap."""
FRAME = 1024
"""Samples of a frame whose spectrum is measured."""
SEED = 1

SENTENCES = {
    "DFA": "Don't forget a jacket",
    "IEO": "It's eleven o'clock",
    "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment",
    "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock",
    "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold",
    "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}


@dataclass(frozen=True)
class Choice:
    """A recording that is played."""

    recording: LabelledRecording
    speaker: str
    emotion: str
    share: float
    """Share of the votes for the intended emotion."""

    @property
    def name(self) -> str:
        """Name of the file in CREMA-D, SPEAKER_SENTENCE_EMOTION_INTENSITY."""
        return self.recording.path.stem

    @property
    def sentence(self) -> str:
        code = self.name.partition("_")[2][:3]
        return SENTENCES.get(code, code)


def choose(corpus: LabelledCorpus) -> list[Choice]:
    """Choose a recording of each speaker and emotion, in the order in which they are played.

    Raises:
        SerError: The corpus has no votes, or lacks a recording.
    """
    chosen: list[Choice] = []
    for emotion in EMOTIONS:
        for speaker in SPEAKERS:
            candidates = [rate(one, speaker, emotion) for one in corpus.recordings if is_by(one, speaker, emotion)]
            if not candidates:
                raise SerError(
                    f"{corpus.root / INDEX}: names no recording of speaker {speaker} with the emotion {emotion}; "
                    "expected the index of CREMA-D"
                )
            heard = Counter(one.sentence for one in chosen)
            chosen.append(min(candidates, key=lambda one: (-one.share, heard[one.sentence], one.name)))
    return chosen


def is_by(recording: LabelledRecording, speaker: str, emotion: str) -> bool:
    own = recording.speaker.partition("/")[2]
    return own == speaker and recording.emotion == LABELS.index(emotion)


def rate(recording: LabelledRecording, speaker: str, emotion: str) -> Choice:
    shares = recording.soft_target
    if shares is None:
        raise SerError(
            f"{recording.path}: {INDEX} has no votes of listeners for it; expected the columns {VOTES}EMOTION"
        )
    return Choice(recording, speaker, emotion, float(shares[LABELS.index(emotion)]))


def room_noise(samples: Samples, length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with the mean spectrum of the quietest tenth of a recording's frames: float, shape (length,)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), FRAME)[:: FRAME // 2]
    quiet = frames[np.argsort(frames.std(axis=1))[: max(1, len(frames) // 10)]]
    window = np.hanning(FRAME)
    power = (np.abs(np.fft.rfft(quiet * window)) ** 2).mean(axis=0) / (window**2).sum()
    gain = np.interp(np.fft.rfftfreq(length), np.fft.rfftfreq(FRAME), np.sqrt(power))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * gain, length)


def pause(before: Samples, after: Samples, rng: np.random.Generator) -> np.ndarray:
    """A pause of room noise that goes over from the noise of one recording to that of the next."""
    length = round(PAUSE_SECONDS * SAMPLE_RATE) + 2 * FADE
    share = np.linspace(0, 1, length)
    return room_noise(before, length, rng) * np.sqrt(1 - share) + room_noise(after, length, rng) * np.sqrt(share)


def join(recordings: Sequence[Samples]) -> tuple[Samples, list[int]]:
    """Join recordings, with a pause before, between and after them.

    Returns:
        The sound, int16, and the first sample of each recording.
    """
    rng = np.random.default_rng(SEED)
    parts = [pause(recordings[0], recordings[0], rng)]
    for samples, following in zip(recordings, [*recordings[1:], recordings[-1]], strict=True):
        parts += [samples.astype(float), pause(samples, following, rng)]
    # Powers add up to one where two parts overlap, as they are independent.
    rise = np.sin(np.linspace(0, np.pi / 2, FADE))
    for before, after in pairwise(parts):
        before[-FADE:] *= rise[::-1]
        after[:FADE] *= rise
    sound = np.zeros(sum(len(part) - FADE for part in parts) + FADE)
    starts, at = [], 0
    for part in parts:
        sound[at : at + len(part)] += part
        starts.append(at)
        at += len(part) - FADE
    return np.rint(sound).clip(-32768, 32767).astype(np.int16), starts[1::2]


def main() -> int:
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of CREMA-D with its index.csv")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the FLAC file to write (default: the bundled one)")
    options = parser.parse_args()
    chosen = choose(open_corpus(options.corpus))
    sound, starts = join([read_audio(one.recording.path) for one in chosen])
    with options.output.open("wb") as file:
        soundfile.write(file, sound, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    print(" start  recording         speaker  emotion  votes  sentence")
    for start, one in zip(starts, chosen, strict=True):
        row = f"{start / SAMPLE_RATE:4.1f} s  {one.name:16}  {one.speaker:7}  {one.emotion:7}  {one.share:5.2f}"
        print(f"{row}  {one.sentence}")
    print(f"{options.output}: {len(sound) / SAMPLE_RATE:.1f} s, {options.output.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(run("make_demo", main))
