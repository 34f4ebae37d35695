"""The pages in a real browser: headless Chromium, driven by playwright.

Screenshots stay in outputs/browser, or where $TRIVET_SCREENSHOTS says. Without a browser the tests
are skipped and say so; `make test-browser` installs one and lets none be skipped.
"""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from trivet.report.site.findings import findings
from trivet.report.site.held import hold
from trivet.report.site.pages import read_pages
from trivet.report.site.site import write

ROOT = Path(__file__).resolve().parents[4]
SHOTS = Path(os.environ.get("TRIVET_SCREENSHOTS", ROOT / "outputs" / "browser"))
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    """Chromium, or a skip that `make test-browser` does not allow."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if CHROMIUM is None or sync_playwright is None:
        missing = "chromium" if CHROMIUM is None else "playwright"
        said = f"NO BROWSER ({missing} is missing): no page was opened; make test-browser does it"
        if os.environ.get("TRIVET_BROWSER") == "required":
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """A function that opens a page; what goes wrong in it fails the test at its end."""
    wrong, contexts = [], []

    def visit(path, **given):
        context = browser.new_context(**{"viewport": DESK, **given})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith("file:") or wrong.append(f"asked: {request.url}")
            ),
        )
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The site of this repository's experiments."""
    out = tmp_path_factory.mktemp("own") / "site"
    held = hold(ROOT / "results" / "ledger.jsonl")
    pages = read_pages(ROOT / "experiments" / "report.yaml")
    write(out, held, pages, findings(held, pages, 200))
    return out


def pixels(png):
    """Brightness of each pixel, from 0 to 1."""
    from matplotlib.image import imread

    return imread(io.BytesIO(png), format="png")[..., :3].mean(axis=-1)


def shot(page, name, **given):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", **given)
    assert (SHOTS / f"{name}.png").stat().st_size > 10_000


def test_every_page_of_the_own_report_renders_without_an_error(own, visit):
    for path in sorted(own.glob("*.html")):
        page = visit(path)
        assert page.locator("h1").count() == 1 and page.locator("h1").inner_text()
        for drawing in page.locator("figure img").all():
            drawing.scroll_into_view_if_needed()
            page.wait_for_function("(image) => image.complete", arg=drawing.element_handle())
            box = drawing.bounding_box()
            assert drawing.evaluate("(image) => image.naturalWidth") > 300, path.name
            assert drawing.get_attribute("alt") and box["height"] > 50
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_page_is_kept_as_a_picture(own, visit, scheme):
    page = visit(own / "index.html", color_scheme=scheme)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour[4:-1].split(","))) > 600) == (scheme == "light")
    shot(page, f"index-{scheme}")
    figure = page.locator("figure img").first
    figure.scroll_into_view_if_needed()
    page.wait_for_function("(image) => image.complete", arg=figure.element_handle())
    assert (np.mean(pixels(figure.screenshot())) > 0.6) == (scheme == "light")
    shot(visit(own / "board-ladder.html", color_scheme=scheme), f"board-{scheme}")


def test_on_a_phone_no_page_is_wider_than_the_screen(own, visit):
    for path in sorted(own.glob("*.html")):
        page = visit(path, viewport=PHONE, is_mobile=True, has_touch=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path.name
        if path.name in ("index.html", "ablation-projection-heads.html"):
            shot(page, f"phone-{path.stem}")
        page.close()


def test_links_can_be_followed_to_the_command_of_a_row(own, visit):
    page = visit(own / "index.html")
    page.get_by_role("link", name="Does another head than a linear one").click()
    page.get_by_role("row", name="GLU").first.get_by_role("link", name="GLU").click()
    assert page.url.endswith("made-ladder.html#glu")
    section = page.locator("section:target")
    assert "--retriever colbert" in section.inner_text() and section.is_visible()
    shot(page, "made")


def test_a_table_is_sorted_from_the_keyboard_and_says_so(swept, built, visit):
    page = visit(built() / "board-animals.html")
    head = page.get_by_role("columnheader", name="average")
    head.get_by_role("button").focus()
    for pressed, said in (("Enter", "descending"), ("Space", "ascending")):
        page.keyboard.press(pressed)
        assert head.get_attribute("aria-sort") == said
        values = [
            float(cell.get_attribute("value"))
            for cell in page.locator("table").first.locator("tbody td:nth-child(2) data").all()
        ]
        assert values == sorted(values, reverse=said == "descending")  # fmt: skip


def test_the_keyboard_reaches_the_content_first(own, visit):
    page = visit(own / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_without_a_script_every_row_is_there(swept, built, visit):
    page = visit(built() / "board-animals.html", java_script_enabled=False)
    assert page.locator("table").first.locator("tbody tr").count() == 4
    assert page.locator("th button").count() == 0


def test_a_hostile_label_does_nothing(add, built, visit):
    hostile = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    for label, value in ((hostile, 0.5), ("other", 0.4)):
        add(label, np.full(20, value), command=hostile)
    for path in built().glob("*.html"):
        page = visit(path)
        page.wait_for_timeout(50)
        assert page.title() != "owned" and page.locator("img[onerror]").count() == 0


def test_no_rule_of_accessibility_is_broken(own, visit):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    names = (
        "index",
        "board-ladder",
        "ablation-projection-heads",
        "ladder-three-stages",
        "made-demo",
    )
    for name in names:
        for scheme in ("light", "dark"):
            # the page allows no script but its own; axe is put in from outside, and fetches nothing
            page = visit(own / f"{name}.html", color_scheme=scheme, bypass_csp=True)
            found = axe.run(page, options={"preload": False}).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], name
            page.close()
