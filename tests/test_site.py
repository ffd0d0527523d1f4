"""`make docs`: the site is built without a complaint, loads nothing from elsewhere, and can be read on a telephone."""

from __future__ import annotations

import functools
import http.server
import importlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import PHONE, Browser

ROOT = Path(__file__).resolve().parents[1]


# The folder is no package, and stays on the path only here: one of its names is that of a library.
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "release"))
    documentation = importlib.import_module("documentation")
    site_links = importlib.import_module("site_links")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built by what `make docs` runs."""
    for name in ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers"):
        pytest.importorskip(name, reason="the docs extra is not installed")
    output = tmp_path_factory.mktemp("site")
    assert documentation.main(["--output", str(output)]) == 0
    return output


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serve the site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_page_of_the_documentation_is_in_the_site(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        name = "index" if page.stem == "README" else page.stem
        assert (site / "docs" / f"{name}.html").is_file()
    # Files that pages link to are there as well.
    assert (site / "docs/protocol.schema.json").read_bytes() == (ROOT / "docs/protocol.schema.json").read_bytes()


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("recognizer", ["Recognizer.push", "Recognizer.finish", "read_audio", "Model.load"]),
        ("client", ["Client.subscribe", "Client.request", "AsyncClient.subscribe", "RequestFailed.code"]),
        (
            "events",
            ["Emotion.scores", "Emotion.activation", "Hello.labels", "VoiceStopped.timestamp", "AudioState.state"],
        ),
    ],
)
def test_the_api_is_documented(site: Path, page: str, names: list[str]) -> None:
    package = "ser_model" if page == "recognizer" else "ser_daemon.client"
    anchors = site_links._Page((site / "api" / f"{page}.html").read_text()).anchors
    assert {f"{package}.{name}" for name in names} <= anchors


def test_every_name_of_the_client_is_documented() -> None:
    import ser_daemon.client

    named = [name for _, names in documentation.API.values() for name in names]
    assert {f"ser_daemon.client.{name}" for name in ser_daemon.client.__all__} <= set(named)


@pytest.mark.parametrize("page", ["index.html", "docs/protocol.html", "docs/performance.html", "api/client.html"])
def test_a_page_fits_a_telephone_and_asks_nobody_else(address: str, page: str, browser: Browser) -> None:
    with browser.open(f"{address}/{page}", width=PHONE) as shown:
        assert (shown.overflow(), shown.errors) == ([], [])
        assert [url for url in shown.requests if not url.startswith((address, "data:"))] == []


def test_the_search_finds_a_setting(address: str, browser: Browser) -> None:
    with browser.open(f"{address}/index.html") as page:
        page.run("document.querySelector('[data-md-component=search-query]').focus()")
        page.call("Input.insertText", text="hangover_ms")
        links = "[...document.querySelectorAll('.md-search-result__link')].map((one) => one.pathname)"
        page.wait_for(f"{links}.includes('/docs/getting-started.html') && {links}.includes('/api/recognizer.html')")


def test_a_page_from_a_folder_has_no_search(site: Path, browser: Browser) -> None:
    with browser.open((site / "docs/index.html").as_uri()) as page:
        assert page.run("getComputedStyle(document.querySelector('.md-search')).display") == "none"
        assert page.run("document.querySelector('h1').textContent").startswith("Documentation")


def test_bad_links_and_outside_resources_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><a href="docs/a.html#there">1</a><a href="docs/a.html#gone">2</a><a href="none.html">3</a>'
        '<a href="https://example.org/x">4</a><script src="//example.org/x.js"></script><a href="docs/">5</a>'
    )
    (tmp_path / "docs/a.html").write_text('<p id="there"></p><a href="../index.html#top">1</a><img src="none.png">')
    (tmp_path / "docs/index.html").write_text("")
    (tmp_path / "a.css").write_text("@import url(https://example.org/font.css);")
    faults, outside = site_links.check(tmp_path)
    assert faults == [
        "docs/a.html: none.png leads nowhere",
        "index.html: loads //example.org/x.js from outside",
        "index.html: docs/a.html#gone leads nowhere",
        "index.html: none.html leads nowhere",
        "a.css: loads https://example.org/font.css from outside",
    ]
    assert outside == {"https://example.org/x"}


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mkdocs", reason="the docs extra is not installed")
    pytest.importorskip("mkdocstrings", reason="the docs extra is not installed")
    (tmp_path / "letter").write_text("Dear")
    assert documentation.main(["--output", str(tmp_path)]) == 2
    assert "holds other things" in capsys.readouterr().err
    assert (tmp_path / "letter").read_text() == "Dear"


def test_the_sections_are_those_of_the_index() -> None:
    parts = documentation.navigation()
    assert [next(iter(part)) for part in parts] == ["ser-daemon", "For users", "For developers", "API", "Project"]
    assert json.dumps(parts).count("docs/") == len(list((ROOT / "docs").glob("*.md"))) - 1
