"""The file of a speaker's profile: statistics of the speech, and the examples that the speaker has taught."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ser_calibration.microphone.output import check_writable
from ser_daemon.adaptation.files import speaker_file, speaker_folders, write_data
from ser_model import console
from ser_model.adaptation.adaptation import Statistics
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.errors import SerError


@dataclass(frozen=True, slots=True)
class ProfilePlace:
    """Where a speaker's profile is written."""

    name: str
    """Of the speaker."""
    path: Path
    is_private: bool
    """Whether it lies in the user's own folder, which only the user's daemon reads."""

    def write(self, statistics: Statistics, model: str, taught: Sequence[TaughtExample] = ()) -> None:
        """Write the profile in one step.

        Args:
            statistics: of the speaker's speech.
            model: the `model_version` that they belong to.
            taught: the speaker's own examples, the newest last.

        Raises:
            SerError: it can't be written; an older profile is as it was.
        """
        data = statistics.to_data(model)
        data |= {"speaker": self.name, "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        if taught:
            data["taught"] = [one.to_data() for one in taught]
        try:
            # Elsewhere the system service reads it, which runs as a user of its own.
            write_data(self.path, data, mode=0o600 if self.is_private and taught else 0o644)
        except OSError as error:
            raise SerError(
                f"{self.path}: cannot write this profile: {error.strerror}; choose another with --output"
            ) from None

    def say_how_to_use(self) -> None:
        """Print what the daemon needs to use the profile."""
        usual = [folder / speaker_file(self.name) for folder in speaker_folders(os.environ)]
        if self.path.absolute() in usual:
            console.say(f"ser-daemon uses it with the setting adaptation.speaker: {self.name} (then: ser-ctl reload).")
        else:
            console.say(f"ser-daemon looks for it as {usual[0]}, with the setting adaptation.speaker: {self.name}.")


def profile_place(name: str, output: Path | None, *, system: bool) -> ProfilePlace:
    """Choose the place of a profile, and check that it can be written.

    Args:
        name: of the speaker.
        output: the file; `None` chooses one in the user's or the system's folder.
        system: choose the system's folder.

    Raises:
        SerError: the name is no good for a file, or the place can't be written.
    """
    file = speaker_file(name)
    own, shared = (folder / file for folder in speaker_folders(os.environ))
    path = output or (shared if system else own)
    check_writable(path)
    return ProfilePlace(name, path, path.absolute() == own.absolute())
