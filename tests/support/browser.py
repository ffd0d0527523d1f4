"""A real headless Chromium (Debian: chromium), driven by the DevTools protocol over a pair of pipes.

<https://chromedevtools.github.io/devtools-protocol/>: one JSON object a message, each ended by a NUL byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

WAIT = 30.0
"""Time limit in seconds of whatever is waited for, many times what is needed."""

PHONE = 390
"""Width in CSS pixels of a usual telephone."""

_OPTIONS = (
    "--headless=new",
    # Its sandbox works neither for root nor in most containers, and the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def missing() -> str | None:
    """Return what this machine lacks; `None` where a page can be opened."""
    return None if _program() else "chromium is not installed (Debian: chromium)"


def _program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """A browser that keeps nothing: its profile is a folder that vanishes with it."""

    def __init__(self) -> None:
        program = _program()
        assert program is not None, missing()
        self._folder = TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        # Chromium reads messages from descriptor 3 and writes them to 4.
        command = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh", program, *_OPTIONS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._folder.name}", "about:blank"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        """Events of all pages, in the order in which they came."""

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(WAIT)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def open(self, url: str, *, width: int = 1000, height: int = 800, dark: bool = False) -> Page:
        """Open a page in a context of its own, without what other pages stored, and wait until it is loaded."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.prefer(dark)
        page.go(url)
        # The first one may be lost where the page got a new process.
        page.prefer(dark)
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        assert self._process.stdin is not None
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        deadline = time.monotonic() + WAIT
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message; events are kept, too."""
        assert self._process.stdout is not None
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))
            assert readable, "the browser does not answer"
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message


class Page:
    """A page of a `Browser`."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol for this page, and return its result."""
        return self._browser.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Load a URL, and wait for its load event."""
        before = len(self._events("Page.loadEventFired"))
        failure = self.call("Page.navigate", url=url).get("errorText")
        assert failure is None, f"{url}: {failure}"
        deadline = time.monotonic() + WAIT
        while len(self._events("Page.loadEventFired")) == before:
            assert time.monotonic() < deadline, f"{url} is not loaded"
            self.run("0")

    def resize(self, width: int, height: int = 800) -> None:
        """Change the size of the viewport, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, dark: bool) -> None:
        """Change the colour scheme that the reader prefers."""
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Wait until a JavaScript expression is true, and return its value."""
        deadline = time.monotonic() + WAIT
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never true: {script}"
            time.sleep(0.02)
        return value

    def overflow(self) -> list[str]:
        """Return a word for each element that sticks out of the viewport on the right; none where the page fits it.

        What lies in an element that scrolls or hides it does not widen the page.
        """
        found: list[str] = self.run(_OVERFLOW)
        return found

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    @property
    def errors(self) -> list[str]:
        """Uncaught errors, and what the console shows as one, such as a resource that was refused."""
        details = [event["exceptionDetails"] for event in self._events("Runtime.exceptionThrown")]
        thrown = [one.get("exception", {}).get("description", one["text"]) for one in details]
        logged = [event["entry"] for event in self._events("Log.entryAdded")]
        return thrown + [entry["text"] for entry in logged if entry["level"] == "error"]

    @property
    def requests(self) -> list[str]:
        """URLs of all that was asked for, of the page itself also."""
        return [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def _events(self, method: str) -> list[dict[str, Any]]:
        events = self._browser.events
        return [one["params"] for one in events if one["method"] == method and one.get("sessionId") == self._session]


_OVERFLOW = """(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const clipped = (element) => {
    for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible" && up.getBoundingClientRect().right <= width) return true;
    return false;
  };
  const wide = [...document.body.querySelectorAll("*")].filter(
    (element) => element.getBoundingClientRect().right > width + 0.5 && !clipped(element));
  return [`page ${document.documentElement.scrollWidth} px`, ...wide.slice(0, 5).map((element) =>
    `${element.tagName.toLowerCase()} ${Math.round(element.getBoundingClientRect().right)} px: ` +
    `${(element.textContent || "").trim().slice(0, 40)}`)];
})()"""
