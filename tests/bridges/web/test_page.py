"""The page of `ser-web` in a real browser, with a real daemon that listens to a virtual microphone."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.browser import PHONE, Browser, Page, missing
from support.daemon import Daemon, wait_for
from support.pulse import PulseAudio, virtual_microphone
from support.scripted_daemon import ScriptedDaemon, emotion
from support.speech import SYNTHETIC_SPEECH
from support.web_bridge import WebBridge

Web = Callable[..., WebBridge]

LISTENS = "document.getElementById('state-text').textContent === 'Listening'"
LEVEL = "+document.getElementById('level').getAttribute('aria-valuenow')"
SCORES = "[...document.querySelectorAll('#scores [role=meter]')].map((bar) => bar.getAttribute('aria-valuenow')).join()"


DRAWN = """[...document.querySelectorAll('#scores canvas')].some((canvas) =>
  canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height - 2).data.some(Boolean))"""
"""Whether there is anything above the line at the bottom of a strip."""

OPENS = """new Promise((done) => {
  const socket = new WebSocket('ws://127.0.0.1:%d/socket', %s);
  socket.onopen = () => done('open');
  socket.onerror = () => done('refused');
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with Browser() as browser:
        yield browser


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


def text(page: Page, name: str) -> str:
    value: str = page.run(f"document.getElementById('{name}').textContent")
    return value


def click(page: Page, name: str) -> None:
    """Click into the middle of an element, as a mouse does."""
    box = page.run(f"(() => {{ const b = document.getElementById('{name}').getBoundingClientRect();"
                   "return {x: b.x + b.width / 2, y: b.y + b.height / 2}; })()")  # fmt: skip
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)


def press(page: Page, key: str, **more: str) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **(more if kind == "keyDown" else {}),
                  windowsVirtualKeyCode={"Tab": 9, "Enter": 13}[key])  # fmt: skip


def test_bars_move_while_a_recording_plays_and_mute_closes_the_device(
    browser: Browser, pulse: PulseAudio, folder: Path, web: Web
) -> None:
    with Daemon("--mic", "default", environment=pulse.environment, folder=folder) as daemon:
        daemon.subscribe()
        bridge = web()
        with browser.open(bridge.link) as page, browser.open(bridge.link, width=PHONE, dark=True) as phone:
            page.wait_for(LISTENS)
            pulse.wait_for_capture()
            player = pulse.play(SYNTHETIC_SPEECH)
            levels, scores, gates = set(), set(), set()
            while len(scores) < 4 or page.run("document.getElementById('utterances').children.length") < 1:
                levels.add(page.run(LEVEL))
                scores.add(page.run(SCORES))
                gates.add(text(page, "gate"))
                assert player.poll() is None, "the recording has ended"
                time.sleep(0.05)
            assert len(levels) > 5
            assert gates == {"speech", "silence"}
            listed = page.run("document.querySelector('#utterances li').textContent")
            reasons = ("too short to tell", "unlike the speech", "not sure enough", "%")
            assert any(reason in listed for reason in reasons), listed
            assert page.run(DRAWN)

            click(page, "mute")
            pulse.wait_for_capture(0)
            for each in (page, phone):
                each.wait_for("document.getElementById('mute').getAttribute('aria-pressed') === 'true'")
                assert text(each, "state-text") == "Muted: the microphone is closed"
            click(phone, "mute")
            pulse.wait_for_capture()
            page.wait_for(LISTENS)
            player.kill()
            player.wait()
            for each in (page, phone):
                assert each.overflow() == []
                assert each.errors == []
                assert {url.split("/")[2] for url in each.requests if url.startswith("http")} == {
                    f"127.0.0.1:{bridge.port}"
                }
                assert each.run("location.hash") == "", "the token is not in the address"


def test_the_page_waits_for_a_daemon_and_for_ser_web_itself(browser: Browser, folder: Path, web: Web) -> None:
    bridge = web()
    with browser.open(bridge.link) as page:
        page.wait_for("document.getElementById('state-text').textContent === 'The daemon is not running'")
        assert page.run("document.getElementById('mute').disabled")
        with ScriptedDaemon(folder) as daemon:
            page.wait_for(LISTENS)
            daemon.publish(emotion("u-1", "unknown", final=True, reason="low-confidence", top="sad"))
            page.wait_for("document.getElementById('now-label').textContent === 'unknown'")
            assert text(page, "now-detail") == "not sure enough · most likely sad, 58 %"
            daemon.stop()
            page.wait_for("document.getElementById('state-text').textContent === 'The daemon is not running'")
            daemon.start()
            page.wait_for(LISTENS)
            daemon.publish(emotion("u-2", "happy", final=True))
            page.wait_for("document.getElementById('utterances').children.length === 2")
            port = bridge.port
            bridge.close()
            page.wait_for("document.getElementById('state-text').textContent.startsWith('ser-web does not answer')")
            # Its token is a new one, so the page says what to do.
            web("--port", port)
            page.wait_for("document.getElementById('notice').textContent.includes('no longer valid')")


def test_a_wrong_token_and_another_sites_page_get_nothing(
    browser: Browser, daemon: ScriptedDaemon, web: Web, tmp_path: Path
) -> None:
    bridge = web()
    with browser.open(f"{bridge.address}#token=wrongwrongwrongwrong") as page:
        page.wait_for("document.getElementById('notice').textContent.includes('no longer valid')")
        page.go("about:blank")
        page.go(bridge.address)
        page.wait_for("document.getElementById('notice').textContent.includes('has no token')")
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        with browser.open(f"http://127.0.0.1:{other.server_port}/") as page:
            for protocols in ("'ser-daemon'", f"['ser-daemon', 'token.{bridge.token}']"):
                assert page.run(OPENS % (bridge.port, protocols)) == "refused"
            read = f"fetch('{bridge.address}status', {{headers: {{Authorization: 'Bearer {bridge.token}'}}}})"
            assert page.run(f"{read}.then(() => 'read', () => 'refused')") == "refused"
            frame = (
                f"document.body.append(Object.assign(document.createElement('iframe'), {{src: '{bridge.address}'}}))"
            )
            page.run(f"void {frame}")
            wait_for(lambda: any("frame" in each.lower() for each in page.run("1") and page.errors))
    finally:
        other.shutdown()
        other.server_close()


class Quiet(http.server.BaseHTTPRequestHandler):
    """An empty page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>other</title><body>")

    def log_message(self, *_arguments: object) -> None:
        pass


ROLES = (
    ("button", "Mute"),
    ("log", "Utterances"),
    ("meter", "happy"),
    ("meter", "arousal"),
    ("meter", "Level of the microphone"),
    ("heading", "How it was said"),
    ("main", ""),
)


def test_the_keyboard_a_screen_reader_and_reduced_motion(browser: Browser, daemon: ScriptedDaemon, web: Web) -> None:
    with browser.open(web().link) as page:
        page.wait_for(LISTENS)
        daemon.publish(emotion("u-1", "happy", final=True))
        page.wait_for("document.getElementById('utterances').children.length === 1")
        press(page, "Tab")
        assert page.run("document.activeElement.id") == "mute"
        assert page.run("document.activeElement.matches(':focus-visible')")
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        press(page, "Enter", text="\r")
        wait_for(lambda: daemon.control.calls == ["mute"])
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        seen = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if "role" in node}
        for role, name in ROLES:
            assert (role, name) in seen
        assert {"status", "banner", "contentinfo"} <= {role for role, _ in seen}
        assert page.run("document.getElementById('log').getAttribute('aria-live')") == "polite"
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        assert page.run("getComputedStyle(document.querySelector('.fill')).transitionDuration") == "0s"


CONTRAST = """(() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const parts = style.getPropertyValue(name).match(/[0-9a-f]{2}/gi).map((each) => parseInt(each, 16) / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const pairs = [["--text", "--card"], ["--text", "--paper"], ["--soft", "--card"], ["--soft", "--paper"],
    ["--soft", "--track"], ["--accent", "--paper"], ["--accent-text", "--accent"]];
  return Math.min(...pairs.map((pair) => {
    const [low, high] = pair.map(light).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }));
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_texts_have_the_contrast_of_wcag_aa(browser: Browser, daemon: ScriptedDaemon, web: Web, dark: bool) -> None:
    with browser.open(web().address, dark=dark) as page:
        assert page.run(CONTRAST) >= 4.5
        assert (page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 26)") is dark
