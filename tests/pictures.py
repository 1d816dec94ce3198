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
from brainclust.synthetic.phantoms import write_phantoms

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


def check(page: Page, bench: Workbench) -> None:
    """Name twenty slices of other phantoms, keep the check and use it."""
    truth = pd.read_csv(Path(bench.data).with_name("truth.csv"))
    known = {Path(row.path).name: row.label for row in truth.itertuples()}
    page.get_by_role("tab", name="Check on my scans").click()
    page.click("#check-start")
    page.wait_for_selector("#check-slice [data-row]", timeout=60_000)
    changed = "row => document.querySelector('#check-slice [data-row]')?.dataset.row !== row"
    for _ in range(20):
        row = page.get_attribute("#check-slice [data-row]", "data-row")
        name = Path(bench.collection.table["path"].iloc[int(row)]).name
        page.keyboard.press(str(list(bench.predictor.classes_).index(known[name]) + 1))
        page.wait_for_function(changed, arg=row)
    page.wait_for_selector("#check-outcome .bc-curve", timeout=60_000)
    page.click("#check-keep")
    page.get_by_text("Kept as clinic").wait_for()
    page.get_by_label("as calibrated for clinic").click()
    page.wait_for_selector("#head strong")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    save(page, "check")


def clinic(folder: Path) -> Path:
    """Write phantoms of other patients, without their labels, which lie beside them."""
    pile = write_phantoms(folder / "clinic", 12, 1, 128, seed=5)
    truth = pd.read_csv(pile / "labels.csv")
    truth.to_csv(folder / "truth.csv", index=False)
    truth.assign(label="")[["path", "label", "patient"]].to_csv(pile / "labels.csv", index=False)
    return pile


def main() -> None:
    """Serve a copy of the run and take the pictures, or those that are named after the run."""
    takes = {"read": read, "browse": browse, "label": label, "check": check}
    chosen = sys.argv[2:] or list(takes)
    with tempfile.TemporaryDirectory() as folder:
        run = shutil.copytree(sys.argv[1], Path(folder) / "run")
        for name in chosen:
            bench = Workbench(run, clinic(Path(folder)) if name == "check" else None, device="cpu")
            server = start_server(bench)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=CALM)
                page = browser.new_page(viewport={"width": 1290, "height": 862})
                page.goto(server.local_url)
                takes[name](page, bench)
                browser.close()
            server.close()


if __name__ == "__main__": main()
