"""The page of latents in a real browser, headless: it draws, searches, and complains of nothing."""

import json
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)
FLAGS = """--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr
--virtual-time-budget=8000"""

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="NO BROWSER: the explorer was NOT tested; install chromium"
)

# what a reader does, one thing after another; what is seen after each goes into the page
STEPS = """
<script>
(async () => {
  const wait = () => new Promise((done) => setTimeout(done, 200));
  const at = (id) => document.getElementById(id);
  const number = (one) => +one.textContent.match(/\\d+/)[0];
  const seen = () => [[...document.querySelectorAll("article .number")].map(number),
    at("found").textContent, at("more").hidden];
  const out = { start: seen() };
  const type = async (word) => {
    at("find").value = word;
    at("find").dispatchEvent(new Event("input", { bubbles: true }));
    await wait();
    return seen();
  };
  out.whale = await type("WHALE");
  out.number = await type("17");
  out.nothing = await type("zebra");
  out.context = await type("naïve");
  out.all = await type("");
  at("more").click();
  out.more = seen();
  out.focus = document.activeElement.id;
  document.querySelector("#kind input").click();
  await wait();
  out.kinds = seen();
  at("order").value = "often";
  at("order").dispatchEvent(new Event("change", { bubbles: true }));
  await wait();
  out.often = seen();
  out.bold = document.querySelectorAll("article b b, article i").length;
  out.wide = document.documentElement.scrollWidth > innerWidth;
  out.svg = document.querySelector("figure svg").getBoundingClientRect().height;
  out.unnamed = [...document.querySelectorAll("input, select, button")].filter((one) =>
    !one.labels?.length && !one.textContent.trim()).length;
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = JSON.stringify(out);
  document.body.append(said);
})();
</script>
"""


def browse(page, folder, *flags, fragment="", steps=STEPS):
    """What the steps saw, the page afterwards, and what the console said."""
    path = folder / "page.html"
    path.write_text(page.replace("</body>", steps + "</body>"), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS.split(), *flags, f"--user-data-dir={folder}/profile", "--dump-dom",
         path.as_uri() + fragment],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.S)
    return (
        json.loads(found.group(1).replace("&amp;", "&")) if found else None,
        done.stdout,
        complaints,
    )


@pytest.fixture(scope="module")
def seen(cards, page_of, tmp_path_factory):
    """One visit at the width of a desk."""
    folder = tmp_path_factory.mktemp("browser")
    return browse(page_of(cards(64)), folder, "--window-size=1280,900")


def test_the_page_is_drawn_and_the_console_is_silent(seen):
    out, dom, complaints = seen
    assert complaints == []
    assert out["start"] == [list(range(24)), "64 latents", False]
    assert out["svg"] > 200
    assert dom.count("<article") >= 24


def test_a_search_leaves_the_cards_that_hold_the_word(seen):
    out = seen[0]
    whales = [i for i in range(64) if i % 16 == 12]
    assert out["whale"] == [whales, f"{len(whales)} of 64 latents", True]
    assert out["number"][0] == [17]
    assert out["nothing"] == [[], "0 of 64 latents", True]
    assert out["context"][1] == "64 latents" == out["all"][1]


def test_more_cards_come_when_asked_for_and_take_the_focus(seen):
    out = seen[0]
    assert out["more"][0] == list(range(48)) and out["focus"] == "latent-24"


def test_kinds_and_order_are_chosen(seen):
    out = seen[0]
    others = [i for i in range(64) if i % 3]
    assert out["kinds"][0] == others[:24] and out["kinds"][1] == f"{len(others)} of 64 latents"
    assert out["often"][0][:3] == sorted(others, key=lambda i: (-(1 + i * 3 % 100), i))[:3]


def test_no_text_becomes_markup_and_every_control_has_a_name(seen):
    assert seen[0]["bold"] == 0 and seen[0]["unnamed"] == 0


def test_a_search_can_be_linked_to_and_a_phone_needs_no_sideways_scrolling(
    cards, page_of, tmp_path
):
    out, _, complaints = browse(
        page_of(cards(64, length=9)), tmp_path, "--window-size=500,800", fragment="#find=owl"
    )
    assert complaints == [] and not out["wide"]
    assert out["start"][0] == [i for i in range(64) if i % 16 == 8]


def test_the_test_hears_a_page_that_complains(page_of, cards, tmp_path):
    page = page_of(cards(3)).replace('"use strict";', '"use strict"; throw new Error("oh no");')
    assert "oh no" in " ".join(browse(page, tmp_path, steps="")[2])
