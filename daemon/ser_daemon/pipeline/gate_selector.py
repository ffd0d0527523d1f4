"""Chooses the gate's settings for the device that is open: the configuration with the microphone's profile."""

from __future__ import annotations

import logging
from pathlib import Path

from ser_daemon.config.profiles import ProfileMessage, gate_with_profile
from ser_daemon.config.schema import Config
from ser_model.audio.gate import Gate

log = logging.getLogger(__name__)


class GateSelector:
    """Gate settings of one configuration. After its construction only the capture thread uses it."""

    def __init__(self, config: Config, device: str, folders: list[Path]) -> None:
        """Read the profile of a device.

        Args:
            config: the configuration.
            device: name of the device as far as it is known; `device_opened` corrects it.
            folders: where profiles are (`profile_folders`).
        """
        self._config = config
        self._folders = folders
        self._settings, self._messages = gate_with_profile(config, device, folders)
        self._logged: list[ProfileMessage] | None = None
        """Messages that were logged last; None: no device was opened since the start or the last reload."""

    def first_gate(self) -> Gate:
        """Make the gate for the start."""
        return Gate(self._settings)

    def device_opened(self, device: str) -> Gate | None:
        """Read the profile of the device that was opened; only now it is known which one `default` is.

        Returns:
            the gate to use from now on; `None` where the settings stay the same
        """
        before = self._settings
        self._settings, self._messages = gate_with_profile(self._config, device, self._folders)
        self._log()
        return None if self._settings == before else Gate(self._settings)

    def take_over(self, earlier: GateSelector, *, same_source: bool) -> Gate | None:
        """Continue after the selector of an earlier configuration; returns as `device_opened` does."""
        if same_source and earlier._logged is not None:
            self._log()
        return None if self._settings == earlier._settings else Gate(self._settings)

    def _log(self) -> None:
        """Log the messages about profiles, but not again when a device comes back."""
        if self._messages == self._logged:
            return
        self._logged = self._messages
        for message in self._messages:
            log.log(logging.WARNING if message.warning else logging.INFO, "%s", message.text)
