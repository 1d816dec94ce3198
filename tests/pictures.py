"""Make the README's pictures of the web app again: `python tests/pictures.py RUN`, a finished run.

Its copy is served and labelled, so that the run stays as it is.
"""
import io
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from test_app import CALM, CHROMIUM

from brainclust.app.server import start_server
from brainclust.app.workbench import Workbench

PICTURES = Path(__file__).resolve().parent.parent / "nbs" / "images"
FRAME = {"x": 55, "y": 0, "width": 1180, "height": 862}  # the web app in a window of 1290 pixels


def save(page: Page, name: str) -> None:
    """Save the window as a small picture, when its animations have ended."""
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(2500)
    picture = Image.open(io.BytesIO(page.screenshot(clip=FRAME))).convert("RGB")
    picture = picture.resize((899, 657), Image.Resampling.LANCZOS)
    picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        PICTURES / f"page_{name}.png", optimize=True)


def read(page: Page, bench: Workbench) -> None:
    """Read an axial test slice with a meningioma that the run predicts right."""
    table = bench.collection.table
    named = (table["class"] == "meningioma") & (table["plane"] == "axial") & ~table["abstain"]
    right = table["label"] == list(bench.predictor.classes_).index("meningioma")
    path = table["path"][named & right & (table["split"] == "test")].iloc[3]
    page.set_input_files("#read-file input[type=file]", {
        "name": "meningioma.png", "mimeType": "image/png", "buffer": Path(path).read_bytes()})
    page.wait_for_selector(".bc-read", timeout=60_000)
    save(page, "read")


def browse(page: Page, bench: Workbench) -> None:
    """Draw a lasso around the middle of the gliomas."""
    page.get_by_role("tab", name="Browse the groups").click()
    page.wait_for_selector("[data-ready=true]", timeout=60_000)
    frame = page.locator(".bc-canvas canvas").bounding_box()
    table = bench.collection.table
    places = table.loc[table["class"] == "glioma", ["x", "y"]]
    radius = .6 * (places.quantile(.9) - places.quantile(.1)).to_numpy()
    angles = np.linspace(0, 2 * np.pi, 24)
    lasso = places.median().to_numpy() + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    for number, (x, y) in enumerate((lasso * .94 + .03) * frame["width"]):
        page.mouse.move(frame["x"] + x, frame["y"] + y)
        if not number: page.mouse.down()
    page.mouse.up()
    page.wait_for_selector(".bc-chosen figure")
    save(page, "browse")


def label(page: Page, bench: Workbench) -> None:
    """Label nine slices with their known classes."""
    page.get_by_role("tab", name="Label next").click()
    page.wait_for_selector("#label-slice [data-row]")
    truth = pd.read_parquet(bench.run / "scans.parquet")["true_label"]
    changed = "row => document.querySelector('#label-slice [data-row]').dataset.row !== row"
    for _ in range(9):
        row = page.get_attribute("#label-slice [data-row]", "data-row")
        page.keyboard.press(str(int(truth[int(row)]) + 1))
        page.wait_for_function(changed, arg=row)
    save(page, "label")


def main() -> None:
    """Serve a copy of the run and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(shutil.copytree(sys.argv[1], Path(folder) / "run"), device="cpu")
        server = start_server(bench)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CALM)
            page = browser.new_page(viewport={"width": 1290, "height": 862})
            page.goto(server.local_url)
            for take in (read, browse, label):
                take(page, bench)
            browser.close()
        server.close()


if __name__ == "__main__": main()
