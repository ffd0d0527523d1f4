"""An HTML page escapes its texts and may load nothing."""

from __future__ import annotations

import re
from pathlib import Path

from ser_model.html.page import bullets, figure, paragraph, png_image, render_page, table
from support.browser import PHONE, Browser

TEXT = '<b>"Mic" & Co'
ESCAPED = "&lt;b&gt;&quot;Mic&quot; &amp; Co"


def test_every_text_is_escaped() -> None:
    image = png_image(b"PNG", TEXT)
    parts = [paragraph(TEXT), bullets([TEXT]), table([(TEXT, TEXT)]), figure(TEXT, image, TEXT, TEXT)]
    page = render_page(TEXT, parts)
    assert page.count(ESCAPED) == 10
    assert "<b>" not in page


def test_the_policy_of_the_page_forbids_every_request() -> None:
    page = render_page("title", [figure("picture", png_image(b"PNG", "picture"), "caption")])
    assert "default-src 'none'" in page
    assert re.findall(r"(?:src|href)=\"(.{5})", page) == ["data:"]


def test_an_empty_part_leaves_nothing_behind() -> None:
    assert bullets([]) == ""
    assert render_page("title", ["<p>1</p>", bullets([]), "<p>2</p>"]) == render_page("title", ["<p>1</p>", "<p>2</p>"])


def test_a_page_fits_a_telephone_whatever_its_texts_are(browser: Browser, tmp_path: Path) -> None:
    long = "alsa_input.usb-Generic_USB_Audio_200901010001-00.HiFi__hw_Dongle__source " * 3
    parts = [paragraph(long, "note"), bullets([long]), table([("when it may say “unknown”", long), (long, long)])]
    path = tmp_path / "page.html"
    path.write_text(render_page(long.strip().replace(" ", "_"), parts))
    for dark in (False, True):
        with browser.open(path.as_uri(), width=PHONE, dark=dark) as page:
            assert (page.overflow(), page.errors) == ([], [])


def test_the_colours_follow_the_readers_choice(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_page("title", [paragraph("text")]))
    colours = []
    for dark in (False, True):
        with browser.open(path.as_uri(), dark=dark) as page:
            colours.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(22, 22, 24)"]


def test_a_page_that_is_too_wide_is_found(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<!DOCTYPE html><div style='width: 500px'>wide</div><img src='none.png'>")
    with browser.open(path.as_uri(), width=PHONE) as page:
        assert page.overflow() == ["page 508 px", "div 508 px: wide"]
        assert page.errors == ["Failed to load resource: net::ERR_FILE_NOT_FOUND"]
