"""The picture of the README: python scripts/screenshot.py SITE/index.html docs/report.png

Needs Chromium and playwright; with Debian's fonts-noto-core and a serif that the style
sheet names it looks as it does there.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

with sync_playwright() as driver:
    browser = driver.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
    )
    page = browser.new_page(viewport={"width": 1200, "height": 1075}, color_scheme="light")
    page.goto(Path(sys.argv[1]).resolve().as_uri())
    page.evaluate("document.querySelectorAll('img').forEach((i) => { i.loading = 'eager' })")
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(240, dither=Image.Dither.NONE).save(sys.argv[2], optimize=True)
    browser.close()
