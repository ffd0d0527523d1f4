"""An HTML page escapes its texts and may load nothing."""

from __future__ import annotations

import re

from ser_model.html.page import bullets, figure, paragraph, png_image, render_page, table

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
