"""The agent: audio to the reader on its way to the transcriber, readings to the user's turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from ser_bridges.command import require
from ser_bridges.perception.prompt import message_of
from ser_bridges.perception.reader import ECHO_SECONDS, PATIENCE_SECONDS, VoiceReader
from ser_model.config import DecisionConfig, GateConfig
from ser_model.network.estimator import Model

# Says which extra is missing, before the import below says only which module.
require("livekit.agents", "livekit")

from livekit.agents import Agent  # noqa: E402


class SerPerceptionAgent(Agent):  # type: ignore[misc]
    """Hears how the user sounds, and puts it into the context of the reply, before the user's words.

    Recognition runs on a thread; audio passes unchanged. Where the result is `unknown`, nothing is added. The framework
    keeps what is added for this reply only. A subclass that overrides `stt_node` or `on_user_turn_completed` calls
    these through `super()`.

    Args:
        args: of `Agent`.
        model: None: the default one, shared by all agents of the process.
        gate: None: the defaults.
        decision: None: the defaults.
        echo: seconds of audio to ignore after the agent has spoken; while it speaks, all audio is ignored. None: the
            agent's voice does not reach the microphone, and the user is heard all the time.
        patience: seconds that a reply waits for the reading at most.
        kwargs: of `Agent`.

    Raises:
        SerError: the model cannot be loaded.
    """

    def __init__(
        self,
        *args: Any,
        model: Model | None = None,
        gate: GateConfig | None = None,
        decision: DecisionConfig | None = None,
        echo: float | None = ECHO_SECONDS,
        patience: float = PATIENCE_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._voice = VoiceReader(model, gate, decision)
        self._echo = echo
        self._patience = patience

    def stt_node(self, audio: AsyncIterable[Any], model_settings: Any) -> Any:
        """Listen to the audio on its way to the transcriber."""
        return super().stt_node(self._listen(audio), model_settings)

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        """Add how the user sounded to the context of the reply."""
        message = message_of(await self._voice.reading(self._patience))
        if message is not None:
            # The context is in the order of time: it goes before the user's words.
            turn_ctx.add_message(role="developer", content=message, created_at=new_message.created_at - 0.001)

    async def _listen(self, audio: AsyncIterable[Any]) -> AsyncGenerator[Any]:
        self._voice.reset()
        self.session.on("agent_state_changed", self._agent_changed)
        try:
            async for frame in audio:
                self._voice.push(bytes(frame.data), frame.sample_rate, frame.num_channels)
                yield frame
        finally:
            self.session.off("agent_state_changed", self._agent_changed)
            await self._voice.close()

    def _agent_changed(self, event: Any) -> None:
        if event.new_state == "speaking":
            # The turn that it answers has its reading; what else was read went with no words, such as a cough.
            self._voice.forget()
        if self._echo is None:
            return
        if event.new_state == "speaking":
            self._voice.hold()
        else:
            self._voice.release(self._echo)
