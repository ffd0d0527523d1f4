"""Wrong arguments, files and paths: every command prints one sentence and exits with status 2."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_model.network.estimator import DEFAULT_MODEL
from support.commands import environment, run, shell
from support.speech import SYNTHETIC_SPEECH

RATE = 16_000
Frames = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def speech() -> Frames:
    """Return the first five seconds of the synthetic recording, which contain speech."""
    samples, rate = soundfile.read(SYNTHETIC_SPEECH, frames=5 * RATE, dtype="float64")
    assert rate == RATE
    return np.asarray(samples)


@pytest.fixture
def sock(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def with_invalid_values(samples: Frames) -> Frames:
    """Replace some samples by values that are not finite."""
    samples = samples.copy()
    samples[10_000:12_000] = np.nan
    samples[20_000:20_002] = np.inf, -np.inf
    return samples


FORMATS: dict[str, tuple[int, str, Callable[[Frames], Frames]]] = {
    "24-bit": (RATE, "PCM_24", lambda samples: samples),
    "8kHz": (8000, "PCM_16", lambda samples: samples[::2]),
    "stereo": (RATE, "PCM_16", lambda samples: np.stack([samples, samples / 2], axis=1)),
    "float-with-nan": (RATE, "FLOAT", with_invalid_values),
    "float-far-too-loud": (RATE, "FLOAT", lambda samples: samples * 60),
    "44.1kHz-double": (44_100, "DOUBLE", lambda samples: np.repeat(samples, 3)),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_recordings_of_every_format_are_read(tmp_path: Path, sock: str, speech: Frames, kind: str, source: str) -> None:
    rate, subtype, change = FORMATS[kind]
    path = tmp_path / "speech.wav"
    soundfile.write(path, change(speech), rate, subtype=subtype)
    with path.open("rb") as file:
        mic = f"file:{path}" if source == "file" else "stdin"
        # What is learnt from stdin is kept, so the state needs a folder of this test.
        environ = environment(XDG_STATE_HOME=str(tmp_path))
        ended = run("ser-daemon", "--mic", mic, "--fast", "--plain", "--socket", sock, environ=environ, stdin=file)
    assert (ended.code, ended.err) == (0, "")
    assert "final" in ended.out


def wav(path: Path, speech: Frames) -> bytes:
    soundfile.write(path, speech, RATE, subtype="PCM_16", format="WAV")
    return path.read_bytes()


BROKEN: dict[str, tuple[Callable[[Path, Frames], object], str]] = {
    "missing": (lambda path, speech: None, "No such file"),
    "folder": (lambda path, speech: path.mkdir(), "Is a directory"),
    "empty": (lambda path, speech: path.write_bytes(b""), "is empty"),
    "text": (lambda path, speech: path.write_text("no sound\n" * 100), "not a WAV or FLAC file"),
    "half-a-header": (lambda path, speech: path.write_bytes(wav(path, speech)[:20]), "not a WAV or FLAC file"),
    "no-samples": (lambda path, speech: wav(path, speech[:0]), "holds no audio"),
    "pipe-without-writer": (lambda path, speech: os.mkfifo(path), "no file but a pipe"),
    "damaged-flac": (lambda path, speech: path.write_bytes(SYNTHETIC_SPEECH.read_bytes()[:20_000]), "is damaged"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, sock: str, speech: Frames, kind: str) -> None:
    make, words = BROKEN[kind]
    path = tmp_path / "broken"
    make(path, speech)
    run("ser-daemon", "--mic", f"file:{path}", "--fast", "--socket", sock).assert_error("ser-daemon", str(path), words)


def test_file_names_need_not_be_utf8(tmp_path: Path, sock: str, speech: Frames) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.wav")
    wav(tmp_path / "plain", speech)
    shutil.copy(tmp_path / "plain", path)
    ended = run("ser-daemon", "--mic", f"file:{path}", "--fast", "--plain", "--socket", sock)
    assert (ended.code, ended.err) == (0, "")


def property_changed(name: str, value: str | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        onnx = pytest.importorskip("onnx")
        graph = onnx.load(path)
        properties = {entry.key: entry.value for entry in graph.metadata_props}
        del graph.metadata_props[:]
        if value is not None:
            onnx.helper.set_model_props(graph, properties | {name: value})
        onnx.save(graph, path)

    return change


MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "NAME.stream.onnx"),
    "corrupt": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged or not an ONNX model"),
    "foreign": (property_changed("", None), "ser-model export"),
    "newer": (property_changed("format_version", "99"), "update ser-daemon"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_cannot_be_used_is_an_error(tmp_path: Path, sock: str, kind: str) -> None:
    import ser_model

    weights = Path(ser_model.__file__).parent / "weights"
    change, words = MODELS[kind]
    for mode in ("window", "stream"):
        shutil.copy(weights / f"{DEFAULT_MODEL}.{mode}.onnx", tmp_path / f"m.{mode}.onnx")
        change(tmp_path / f"m.{mode}.onnx")
    ended = run("ser-daemon", "--mic", "stdin", "--model", str(tmp_path / "m"), "--socket", sock)
    ended.assert_error("ser-daemon", str(tmp_path / "m"), words)


LONG = "/tmp/" + "x" * 120
INVALID = [
    ("ser-daemon", ["--mic", "file:"], ["file:PATH"]),
    ("ser-daemon", ["--mic", "file:~nobody-at-all/x.wav"], ["home folder"]),
    ("ser-daemon", ["--mic", ""], ["audio.device"]),
    ("ser-daemon", ["--channel", "0"], ["audio.channel", "from 1 to 64"]),
    ("ser-daemon", ["--mic", "stdin", "--rate", "0"], ["audio.raw_rate", "4000"]),
    ("ser-daemon", ["--model", ""], ["model.path"]),
    ("ser-daemon", ["--model", "/"], ["model.path", "file"]),
    ("ser-daemon", ["--socket", ""], ["socket.path"]),
    ("ser-daemon", ["--socket", "/"], ["socket.path", "file"]),
    ("ser-daemon", ["--mic", "stdin", "--socket", LONG], ["Linux allows 107"]),
    ("ser-daemon", ["--mic", "stdin", "--socket", "/nowhere/at/all/s"], ["/nowhere/at/all", "does not exist"]),
    ("ser-daemon", ["--config", "/nowhere/c.yaml"], ["/nowhere/c.yaml"]),
    ("ser-ctl", ["--socket", "/nowhere/s", "mute"], ["/nowhere/s", "ser-daemon --mic default"]),
    ("ser-ctl", ["--socket", "/", "mute"], ["no path of a socket"]),
    ("ser-ctl", ["--socket", LONG, "ping"], ["Linux allows 107"]),
    ("ser-watch", ["--socket", LONG, "--plain"], ["Linux allows 107"]),
    ("ser-calibrate", ["mic", "--from", "/nowhere/a.wav", "/nowhere/b.wav"], ["/nowhere/a.wav"]),
    ("ser-calibrate", ["mic", "--device", "stdin"], ["--from"]),
]


@pytest.mark.parametrize(("name", "arguments", "words"), INVALID, ids=lambda value: str(value)[:40])
def test_invalid_arguments_are_errors(name: str, arguments: list[str], words: list[str]) -> None:
    run(name, *arguments).assert_error(name, *words)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_an_invalid_timeout_is_an_error(seconds: str) -> None:
    ended = run("ser-ctl", "--timeout", seconds, "ping")
    assert ended.code == 2
    assert "more than 0" in ended.err
    assert "Traceback" not in ended.err


CONFIGS = [
    ("gate:\n  hangover_m: 700\n", [":2:", "gate.hangover_m", 'did you mean "hangover_ms"?']),
    ("gate:\n  hangover_ms: 700\n  hangover_ms: 800\n", [":3:", "second time", ":2"]),
    ("gate:\n  hangover_ms: soon\n", [":2:", "an integer from 100 to 5000 (milliseconds)", '"soon"']),
    ("gate:\n  threshold: .nan\n", [":2:", "gate.threshold"]),
    ("[1, 2]\n", [":1:", "a section"]),
    ("gate: {\n", ["not valid YAML"]),
    ('socket: {path: "a\\0b"}\n', [":1:", "socket.path"]),
]


@pytest.mark.parametrize(("text", "words"), CONFIGS, ids=lambda value: repr(value)[:30])
def test_a_wrong_setting_is_an_error_with_its_location(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    run("ser-daemon", "--config", str(path)).assert_error("ser-daemon", str(path), *words)


def test_for_a_socket_in_use_the_process_is_named(sock: str) -> None:
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(sock)
        held.listen()
        ended = run("ser-daemon", "--mic", "stdin", "--socket", sock)
    ended.assert_error("ser-daemon", sock, f"process {os.getpid()}")


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_files_without_permission_are_errors(tmp_path: Path, sock: str, speech: Frames, mode: int) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    path, settings = folder / "speech.wav", folder / "settings.yaml"
    wav(path, speech)
    settings.write_text("gate: {}\n")
    (path if mode == 0o000 else folder).chmod(mode)
    under: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # Without capabilities, permissions apply to root too.
        under = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and there is no setpriv")
    try:
        ended = run("ser-daemon", "--mic", f"file:{path}", "--socket", sock, under=under)
        ended.assert_error("ser-daemon", str(path), "Permission denied")
        if mode == 0o600:
            ended = run("ser-daemon", "--mic", f"file:{path}", "--config", str(settings), under=under)
            ended.assert_error("ser-daemon", str(settings), "Permission denied")
    finally:
        folder.chmod(0o700)


HIDDEN = "import ctypes.util; ctypes.util.find_library = lambda name: None"


@pytest.mark.parametrize(
    ("name", "arguments"), [("ser-daemon", []), ("ser-daemon", ["--list-devices"]), ("ser-calibrate", ["mic"])]
)
def test_without_portaudio_the_package_is_named(tmp_path: Path, sock: str, name: str, arguments: list[str]) -> None:
    environ = environment(SER_SOCKET=sock)
    run(name, *arguments, before=HIDDEN, environ=environ).assert_error(name, "libportaudio2", "apt-get")


def test_an_unknown_device_is_an_error_and_the_check_advises(sock: str) -> None:
    run("ser-daemon", "--mic", "no such microphone", "--socket", sock).assert_error("ser-daemon", "capture device")
    ended = run("ser-daemon", "--check", "--mic", "no such microphone", "--socket", sock)
    assert ended.code == 2
    assert "ser-daemon --list-devices" in ended.out
    assert "Not ready" in ended.out


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"no WAV file at all", b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(30)],
    ids=["nothing", "half a word", "text", "zeros"],
)
def test_a_pipe_without_audio_is_an_error(tmp_path: Path, sock: str, data: bytes) -> None:
    (tmp_path / "input").write_bytes(data)
    with (tmp_path / "input").open("rb") as file:
        run("ser-daemon", "--mic", "stdin", "--socket", sock, stdin=file).assert_error("ser-daemon", "stdin")


def test_standard_streams_may_be_closed(tmp_path: Path, sock: str, speech: Frames) -> None:
    wav(tmp_path / "a", speech)
    daemon = f"{{ser-daemon}} --socket {sock} --plain"
    shell(f"{daemon} --mic stdin <&-").assert_error("ser-daemon", "stdin")
    assert shell(f"{daemon} --mic file:{tmp_path}/a --fast >&- 2>&- <&-").code == 0
    assert shell(f"{daemon} --mic file:{tmp_path}/a --fast >&-").err == ""
    assert shell(f"{daemon} --mic file:/nowhere 2>&-").code == 2


def test_a_full_disk_stops_commands_but_not_the_daemon(tmp_path: Path, sock: str, speech: Frames) -> None:
    wav(tmp_path / "a", speech)
    ended = shell(f"{{ser-daemon}} --socket {sock} --mic file:{tmp_path}/a --fast --plain >/dev/full")
    assert ended.code == 0
    assert "Nothing more is shown" in ended.err
    shell(f"{{ser-daemon}} --check --socket {sock} --mic file:{tmp_path}/a >/dev/full").assert_error(
        "ser-daemon", "space"
    )


def test_neither_home_nor_utf8_is_required(tmp_path: Path, sock: str, speech: Frames) -> None:
    wav(tmp_path / "ä", speech)
    lacking = {"HOME": None, "XDG_RUNTIME_DIR": None, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    arguments = ("--mic", f"file:{tmp_path}/ä", "--fast", "--plain", "--socket", sock)
    ended = run("ser-daemon", *arguments, environ=environment(**lacking))
    assert (ended.code, ended.err) == (0, "")
    assert "final" in ended.out
