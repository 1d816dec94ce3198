"""The web app in a real browser: visitors read, label and train; attacks and crowds fail to harm.
"""
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from test_formats import good_files

from brainclust.app.annotation import give_label
from brainclust.app.collection import plain
from brainclust.app.reading import MAXIMUM_UPLOAD
from brainclust.app.workbench import newest_run
from brainclust.core.config import make_config
from brainclust.core.files import file_digest, load_json, save_json, save_table
from brainclust.core.style import class_palette
from brainclust.data.cleaning import prepare_scans
from brainclust.data.splits import group_keys
from brainclust.imaging.slice_cache import build_slice_cache
from brainclust.models.encoders import make_network
from brainclust.runs.ood import Calibration, save_reference
from brainclust.runs.predictor import Predictor
from brainclust.synthetic.phantoms import write_phantoms
from brainclust.training.batches import TrainingData
from brainclust.training.distributed import make_fabric
from brainclust.training.saved_model import save_model
from brainclust.training.self_training import train_jointly

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome")
                 if (path := shutil.which(name))), None)
CALM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"]
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A small run with calibration and sets, a third of whose training slices are labelled."""
    folder = tmp_path_factory.mktemp("page")
    scans = prepare_scans(
        write_phantoms(folder / "slices", 12, 3, 64, seed=0, test_fraction=0.25),
        label_fraction=0.34, cache_folder=folder)[0]
    config = make_config("demo", image_size=64, epochs=3, precision="32-true", device="cpu")
    out = folder / "run"
    out.mkdir()
    images = build_slice_cache(scans, folder / "cache", 64, "none")
    train, test = (np.flatnonzero(scans.split == split) for split in ("train", "test"))
    data = TrainingData(torch.from_numpy(np.array(images)), np.array(scans.label),
                        np.array(scans.true_label), train, test, 0.2, 0.2, 4)
    fabric = make_fabric(torch.device("cpu"), "32-true")
    state = train_jointly(
        fabric, make_network("autoencoder", 4, 64, seed=0), data, config, out / "checkpoint")
    save_model(out, state, data, config)
    save_reference(out, fabric, state.network, data, group_keys(scans).to_numpy(),
                   Calibration(1.2, [0.3] * 4, flip_tta=config.flip_tta))
    save_table(out / "scans.parquet", scans)
    return out


def place_of_fonts() -> Path:
    """Return the folder of matplotlib's list of fonts."""
    import matplotlib
    return Path(matplotlib.get_cachedir())


class Server:
    """Serve the web app of a run in its own process."""

    def __init__(self, run: Path, place: Path, *data: str):
        self.run, self.place, self.data = run, place, data
        for name in ("here", "home", "temporary"):
            (place / name).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Server":
        environment = os.environ | {
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "temporary"),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "MPLCONFIGDIR": str(place_of_fonts()),
        }  # a list of fonts, which matplotlib makes once for every user
        self.log = open(self.place / "log.txt", "a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "brainclust", "app", str(self.run), *self.data, "--device",
             "cpu"], cwd=self.place / "here", env=environment, stdout=subprocess.PIPE,
            stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert "The web app is at" in line, (line, (self.place / "log.txt").read_text()[-2000:])
        self.address = re.search(r"http://\S+?(?=/ )", line)[0]
        return self

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        self.log.close()

    def get(
        self,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> tuple[int, bytes]:
        """Ask for an address as it stands."""
        request = urllib.request.Request(
            self.address + path, body, {"content-type": kind} if body is not None else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def upload(self, name: str, content: bytes) -> str:
        """Send a file as the web app does; return the server's name of it."""
        body = (b"--x\r\ncontent-disposition: form-data; name=\"files\"; filename=\""
                + name.encode() + b"\"\r\ncontent-type: application/octet-stream\r\n\r\n" + content
                + b"\r\n--x--\r\n")
        status, response = self.get("/gradio_api/upload", body, "multipart/form-data; boundary=x")
        assert status == 200, response
        return json.loads(response)[0]

    def read(self, file: dict) -> str:
        """Let a file be read; returns the HTML, or the error."""
        status, response = self.get(
            "/gradio_api/call/read", json.dumps({"data": [file, "axial"]}).encode())
        assert status == 200, response
        response = self.get(f"/gradio_api/call/read/{json.loads(response)['event_id']}")[1].decode()
        event, content = re.findall(r"event: (complete|error)\ndata: (.*)", response)[-1]
        return json.loads(content)[0] if event == "complete" else f"error: {content}"

    def send(self, name: str, content: bytes) -> str:
        """Upload and read."""
        return self.read({"path": self.upload(name, content), "meta": {"_type": "gradio.FileData"},
                          "orig_name": name})


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):
    with Server(run, tmp_path_factory.mktemp("place")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CALM)
        yield browser
        browser.close()


class Visitor:
    """Open a browser window that records requests to other machines, and errors."""

    def __init__(self, browser, address: str, width: int = 1280):
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.strays = []
        self.errors = []
        self.page.on(
            "request",
            lambda request: (self.strays.append(request.url)
                             if not request.url.startswith((address, "data:", "blob:")) else None))
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("response", lambda response: (
            self.errors.append(f"{response.status} {response.url}")
            if response.status >= 400 else None))
        self.page.goto(address)
        self.page.get_by_role("tab", name="Read a scan").wait_for()

    def view(self, name: str) -> None:
        """Open one of the three views.

        On a narrow screen its tab may be in the menu beside the others.
        """
        tab = self.page.get_by_role("tab", name=name)
        menu = self.page.locator(".overflow-menu > button")
        entry = self.page.locator(".overflow-dropdown button", has_text=name)
        end = time.monotonic() + 60
        while True:  # a tab moves between bar and menu until the layout is settled
            self.page.wait_for_timeout(500)
            try:
                if tab.count(): return tab.click(timeout=3000)
                menu.click(timeout=3000)
                return entry.click(timeout=3000)
            except Exception as error:  # playwright's own, which is imported only with a browser
                if type(error).__name__ != "TimeoutError" or time.monotonic() > end: raise

    def read(self, name: str, content: bytes) -> None:
        """Drop a file and wait for its reading."""
        clear = self.page.locator(
            "#read-file button[aria-label*=lear], #read-file button[aria-label*=emove]"
        )
        if clear.count():
            clear.first.click()
            self.page.locator("#read-result").get_by_text("Nothing has been read yet").wait_for()
        before = self.page.inner_html("#read-result")
        self.page.set_input_files(
            "#read-file input[type=file]",
            {"name": name, "mimeType": "application/octet-stream", "buffer": content})
        self.page.wait_for_function(
            "before => { const r = document.querySelector('#read-result'); return r.innerHTML "
            "!== before && r.querySelector('.bc-read, .bc-refusal'); }", arg=before, timeout=60_000)

    def row(self, view: str = "label") -> str:
        return self.page.get_attribute(f"#{view}-slice [data-row]", "data-row")

    def press(self, key: str, view: str = "label") -> str:
        """Press a key and wait for the next slice; returns the row that the key was about."""
        row = self.row(view)
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            f"row => {{ const next = document.querySelector('#{view}-slice [data-row]'); return "
            "!next || next.dataset.row !== row; }", arg=row)
        return row

    def leave(self) -> None:
        """Close the window; everything must have stayed on this machine and gone well."""
        self.context.close()
        assert self.strays == [] and self.errors == []


@needs_browser
def test_a_scan_is_read(server, chromium, run, slices):
    visitor = Visitor(chromium, server.address)
    good = good_files(slices[0].images[:, 0].numpy())
    scans = pd.read_parquet(run / "scans.parquet")
    path = Path(scans.path[scans.split == "test"].iloc[0])
    expected = Predictor(run, "cpu").predict([np.array(Image.open(path))])[0]
    visitor.read("phantom.png", path.read_bytes())
    page = visitor.page
    assert page.get_attribute("#read-result .bc-read", "data-class") == expected
    assert (page.locator("#read-result .bc-stack img").count() == 4
            and page.locator("#read-result .bc-similar figure").count() == 5)
    assert ("Not for diagnosis" in page.inner_text("body")
            and not page.locator("#read-slice").is_visible())
    page.locator("#read-cam input[type=range]").fill("0")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('#read-result .bc-cam')).opacity === '0'")
    visitor.read("slice.dcm", good["g.dcm"])
    assert page.get_attribute("#read-result .bc-read", "data-class") in TINY_CLASSES
    visitor.read("volume.nii.gz", good["m.nii.gz"])
    count = int(re.search(r"slice \d+ of (\d+)", page.inner_text("#read-result"))[1])
    page.locator("#read-slice input[type=range]").fill("2")
    page.get_by_text(f"slice 2 of {count}").wait_for()
    visitor.leave()


TINY_CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


@needs_browser
def test_what_cannot_be_read_is_refused_in_the_page(server, chromium, slices, tmp_path):
    visitor = Visitor(chromium, server.address)
    dicom = good_files(slices[0].images[:, 0].numpy())["g.dcm"]
    Image.new("L", (10_000, 10_000)).save(tmp_path / "huge.png")
    for name, content, words in (
        ("huge.png", (tmp_path / "huge.png").read_bytes(), "too large: 10000 x 10000"),
        ("text.png", b"no picture at all", "not an image"),
        ("broken.dcm", dicom[: len(dicom) // 2], "truncated"),
        ("<img src=x onerror=alert(1)>.png", b"x", "not an image")):
        visitor.read(name, content)
        message = visitor.page.inner_text("#read-result .bc-refusal")
        assert words in message.lower() and "cannot be read" in message
        assert "\n\n" not in message.strip()
    assert visitor.page.locator("#read-result img").count() == 0
    visitor.leave()


@needs_browser
def test_groups_are_browsed(server, chromium, run):
    visitor = Visitor(chromium, server.address)
    slices = len(pd.read_parquet(run / "scans.parquet"))
    visitor.view("Browse the groups")
    page = visitor.page
    page.wait_for_selector("#browse-map [data-ready=true], [data-ready=true]")
    assert f"{slices} slices" in page.inner_text(".bc-count").replace(",", "")
    assert page.locator(".bc-card").count() == 4
    box = page.locator(".bc-canvas canvas").bounding_box()
    content = json.loads(server.get("/page/map.json")[1])
    where = lambda i: (box["x"] + (content["x"][i] * 0.94 + 0.03) * box["width"],
                       box["y"] + (content["y"][i] * 0.94 + 0.03) * box["width"])
    page.mouse.move(*where(0))
    page.wait_for_selector(".bc-tip:not([hidden]) img[src*='page/slice/']")
    colour = page.eval_on_selector(".bc-tip span", "span => getComputedStyle(span).color")
    assert colour == "rgb(255, 255, 255)"  # on a dark ground, in every theme
    left, top, side = box["x"] + 2, box["y"] + 2, box["width"] - 4
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((left + side, top), (left + side, top + side), (left, top + side),
                 (left, top + side / 2)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.get_by_text(f"{slices} slices chosen").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the list").click()
    assert len(pd.read_csv(saved.value.path())) == slices
    colours = {choice["title"]: dict(zip(choice["names"], choice["colours"]))
               for choice in content["choices"]}
    palette = {plain(name): colour for name, colour in class_palette(TINY_CLASSES).items()}
    for title in ("prediction", "label, where known"):  # a class has one colour
        known_colours = {name: colour for name, colour in colours[title].items()
                         if name != "unlabelled"}
        assert known_colours.items() <= palette.items()
    page.locator(".bc-side select").select_option("1")
    known = int((pd.read_parquet(run / "scans.parquet").label >= 0).sum()
                + (pd.read_parquet(run / "scans.parquet").split == "test").sum())
    unlabelled = page.locator(".bc-legend button", has_text="unlabelled").inner_text()
    assert int(re.search(r"\((\d+)\)", unlabelled)[1]) == slices - known
    page.locator(".bc-legend button").first.click()
    page.locator(".bc-chosen figure").first.wait_for()
    visitor.leave()


@needs_browser
def test_nine_labels_outlive_the_server(run, chromium, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    truth = pd.read_parquet(run / "scans.parquet")
    rows = []
    place = tmp_path / "place"
    server = Server(copy, place).__enter__()
    visitor = Visitor(chromium, server.address)
    visitor.view("Label next")
    visitor.page.wait_for_selector("#label-slice [data-row]")
    for _ in range(10):
        rows.append(visitor.press(str(int(truth.true_label[int(visitor.row())]) + 1)))
    assert len(set(rows)) == 10 and not (truth.split[[int(row) for row in rows]] == "test").any()
    visitor.press("u")
    assert visitor.row() == rows[-1]
    visitor.page.wait_for_selector("[data-done='9']")
    visitor.leave()
    server.process.kill()  # as if the power had failed
    server.process.wait()
    labels = pd.read_csv(copy / "labels.csv")
    assert list(labels.sha256) == [truth.sha256[int(row)] for row in rows[:9]]
    assert [TINY_CLASSES.index(label) for label in labels.label] == [
        truth.true_label[int(row)] for row in rows[:9]]
    with Server(copy, place) as server:
        visitor, other = Visitor(chromium, server.address), Visitor(chromium, server.address, 400)
        for one in (visitor, other):
            one.view("Label next")
            one.page.wait_for_selector("[data-done='9']")
            assert one.row() not in rows[:9]
        assert visitor.row() != other.row(), "two people are shown one slice"
        given = [one.press(key)
                 for one, key in ((visitor, "1"), (other, "2"), (visitor, "1"), (other, "2"))]
        visitor.page.keyboard.press("s")
        visitor.leave(), other.leave()
    labels = pd.read_csv(copy / "labels.csv").tail(4)
    assert (list(labels.sha256) == [truth.sha256[int(row)] for row in given]
            and list(labels.label) == ["glioma", "meningioma"] * 2 and labels.by.nunique() == 2)
    assert not (copy / "page" / "sent").exists()
    for name in ("here", "home", "temporary"):
        assert [path for path in (place / name).rglob("*") if path.is_file()] == [], (
            "something was written outside the run")


@needs_browser
def test_a_person_checks_the_run_on_own_scans(run, chromium, tmp_path):
    """Twenty-one slices were named before the server ended; three are named by key."""
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    pile = write_phantoms(tmp_path / "clinic", 6, 1, 64, seed=5)
    truth = pd.read_csv(pile / "labels.csv")
    truth.assign(label="")[["path", "label", "patient"]].to_csv(pile / "labels.csv", index=False)
    for row in truth[:21].itertuples():
        give_label(copy / "labels.csv", row.path, file_digest(pile / row.path), row.label, "Ada",
                   TINY_CLASSES, "random")
    known = {Path(row.path).name: row.label for row in truth.itertuples()}
    with Server(copy, tmp_path / "place", str(pile)) as server:
        names = json.loads(server.get("/page/map.json")[1])["names"]
        visitor = Visitor(chromium, server.address)
        page = visitor.page
        visitor.view("Check on my scans")
        page.get_by_text("21 slices of an earlier check have a label").wait_for()
        page.click("#check-start")
        page.wait_for_selector("#check-progress [data-done='21']")
        assert "one slice of each comes first" in page.inner_text("#check-notice")
        for _ in range(3):
            label = known[names[int(visitor.row("check"))]]
            visitor.press(str(TINY_CLASSES.index(label) + 1), "check")
        page.wait_for_selector("#check-outcome [data-slices='24']")
        outcome = page.inner_text("#check-outcome")
        page.click("#check-keep")
        page.get_by_text("Kept as clinic, in sources/clinic.json").wait_for()
        page.get_by_label("as calibrated for clinic").click()
        page.locator("#head", has_text="In force: clinic").wait_for()
        visitor.view("Browse the groups")
        page.wait_for_selector(".bc-legend button")
        assert "calibrated for clinic" in page.inner_text(".bc-card >> nth=0")
        visitor.view("Read a scan")
        visitor.read("phantom.png", (pile / truth.path[0]).read_bytes())
        assert "Calibrated for clinic" in page.inner_text("#read-result")
        visitor.leave()
    labels = pd.read_csv(copy / "labels.csv")
    assert [known[Path(path).name] for path in labels.path] == list(labels.label)
    assert len(labels) == 24 and set(labels["query"]) == {"random"}
    predictor = Predictor(copy, "cpu")
    pictures = [np.array(Image.open(pile / path)) for path in truth.path]
    right = (predictor.predict(pictures) == truth.label).mean()
    assert f"Right in {100 * right:.0f} %" in outcome and "On these 24 slices" in outcome
    assert predictor.with_source("clinic").source.slices == 24


def test_no_path_of_the_server_can_be_read(server, run, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    wanted = [str(secret), "/etc/passwd", str(run / "labels.csv"), str(run / "config.json"),
              "README.md", str(Path(sys.executable))]
    climbs = ["../" * n + "etc/passwd" for n in (1, 4, 12)] + [
        "..%2f" * 8 + "etc%2fpasswd", "%2e%2e/" * 8 + "etc/passwd", "....//" * 6 + "etc/passwd",
        "%2fetc%2fpasswd", "..%5c..%5cetc%5cpasswd", "/etc/passwd%00.png"]
    folders = ["/", "/file=", "/file/", "/gradio_api/file=", "/gradio_api/file/",
               "/gradio_api/proxy=", "/static/", "/assets/", "/svelte/", "/page/", "/page/slice/",
               "/page/original/", "/page/pair/0/",
               "/gradio_api/custom_component/1/client/component/", "/gradio_api/stream/",
               "/gradio_api/call/", "/gradio_api/upload/", "/gradio_api/heartbeat"]
    for folder in folders:
        for path in [*wanted, *climbs, "-1.png", "999999999999.png", "0x1.png", "1e3.png",
                     "nan.png"]:
            if folder in ("/gradio_api/heartbeat",):
                folder_path = folder + "." + path
            else:
                folder_path = folder + path
            status, content = server.get(urllib.request.quote(folder_path, safe="/%=.:"))
            assert (b"root:" not in content and b"the secret" not in content
                    and b"image_size" not in content), folder_path
            assert status >= 400, (status, folder_path, content[:80])
    for path in ("/docs", "/openapi.json", "/monitoring", "/gradio_api/vibe-code/",
                 "/gradio_api/deep_link", "/gradio_api/runs", "/login"):
        assert server.get(path)[0] == 404, path
    for method in ("/gradio_api/vibe-edit", "/gradio_api/process_recording",
                   "/gradio_api/component_server", "/gradio_api/run-history/connect"):
        assert server.get(method, b"{}")[0] == 404, method
    for path in wanted:
        assert server.read({"path": path, "meta": {"_type": "gradio.FileData"}}).startswith(
            "error"), path


def test_no_address_is_fetched_for_a_stranger(server):
    asked = []

    class Trap(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()
    trap = http.server.HTTPServer(("127.0.0.1", 0), Trap)
    threading.Thread(target=trap.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{trap.server_port}/a.png"
    for file in ({"path": address}, {"path": address, "url": address},
                 {"path": "file:///etc/passwd"}, {"path": "a.png", "url": address}):
        assert server.read(file | {"meta": {"_type": "gradio.FileData"}}).startswith("error"), file
    server.get("/gradio_api/proxy=" + address), server.get("/gradio_api/file=" + address)
    trap.shutdown()
    assert asked == []


def raw(server: "Server", request: bytes, seconds: float = 10) -> bytes:
    """The first bytes that come back for whatever is sent."""
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), seconds) as line:
        response = b""
        try:
            line.sendall(request)
            while (part := line.recv(2**16)) and len(response) < 2**18:
                response += part
        except (TimeoutError, ConnectionError):
            pass  # a stream that stays open has sent enough
        return response


def anything(rng: random.Random, depth: int = 0):
    """Something that JSON can say."""
    kinds = [None, True, -1, 2**70, 1e308, float("nan"), "", "../../etc/passwd", "\ud800",
             "a\r\nInjected: 1", "x" * 5000, [], {}]
    if depth > 3 or rng.random() < .5: return rng.choice(kinds)
    if rng.random() < .5: return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    names = ["data", "fn_index", "session_hash", "event_id", "path", "url", "meta", "_type",
             "trigger_id", "event_data", "orig_name", "is_stream", "x"]
    return {rng.choice(names): anything(rng, depth + 1) for _ in range(rng.randrange(5))}


def test_garbage_is_survived(server, run, slices):
    rng = random.Random(0)
    host = server.address.removeprefix("http://").encode()
    asked = [
        "/gradio_api/queue/join", "/gradio_api/queue/data?session_hash=a", "/gradio_api/call/read",
        "/gradio_api/call/read/none", "/gradio_api/run/read", "/gradio_api/api/read",
        "/gradio_api/upload", "/gradio_api/upload?upload_id=%0d%0aInjected:%201",
        "/gradio_api/reset", "/gradio_api/cancel", "/page/slice/0.png?v=%0d%0aInjected:%201",
        "/page/original/0.png", "/page/map.json", "/config", "/%00", "/assets/%0d%0aInjected:1"]
    odd = [b"Range: bytes=0-18446744073709551616", b"Range: bytes=-1", b"Range: bytes=9-1",
           b"Range: bytes=" + b"0-0," * 2000 + b"0-0", b"X-Forwarded-Host: a\x00b",
           b"X-Forwarded-Proto: gopher", b"Cookie: " + b"a=b;" * 900,
           b"Content-Type: multipart/form-data",
           b"Content-Type: multipart/form-data; boundary=" + b"y" * 300,
           b"Content-Type: application/json; charset=utf-7", b"Content-Encoding: gzip",
           b"Content-Length: 7", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
           b"Transfer-Encoding: chunked", b"Connection: upgrade\r\nUpgrade: websocket",
           b"Accept-Language: " + b"\xff" * 50, b"Expect: 100-continue", b"\x00\x01: 2",
           b"no colon"]
    def request() -> bytes:
        """Something that a browser would not ask."""
        body = (json.dumps(anything(rng)).encode() if rng.random() < 0.8
                else rng.randbytes(rng.randrange(300)))
        headers = [b"Host: " + host, b"Connection: close", *rng.sample(odd, rng.randrange(3))]
        if not any(header.startswith((b"Content-Length", b"Transfer")) for header in headers):
            headers.append(b"Content-Length: %d" % len(body))
        if not any(header.startswith(b"Content-Type") for header in headers):
            headers.append(b"Content-Type: application/json")
        return (rng.choice([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"X"]) + b" "
                + rng.choice(asked).encode() + b" HTTP/1.1\r\n" + b"\r\n".join(headers)
                + b"\r\n\r\n" + body)
    endings = set()
    before = set(server.place.rglob("*"))
    requests = [request() for _ in range(300)]
    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(lambda request: raw(server, request, 2), requests))
    for request, response in zip(requests, responses):
        head, _, content = response.partition(b"\r\n\r\n")
        endings.add(head[9:12])
        assert b"\ninjected:" not in head.lower(), request
        assert (b"Traceback" not in content and b"site-packages" not in content
                and b"root:" not in content), (request, content[:500])
    assert {b"200", b"404", b"400"} <= endings, endings
    assert server.process.poll() is None
    assert not [
        path for path in server.place.rglob("*") if path not in before and "cache" not in path.name
    ], "files were written beside the upload"
    # and visitors are served as before
    assert 'data-class="' in server.send(
        "after.png", Path(pd.read_parquet(run / "scans.parquet").path[0]).read_bytes())


@pytest.mark.parametrize("headers", [
    {"Host": "example.org"}, {"Origin": "http://example.org"}, {"Origin": "null"},
    {"Host": "example.org", "Origin": "http://example.org"}])
def test_pages_of_others_are_not_answered(server, headers):
    """Neither what another page in the same browser asks, nor one that calls this machine by its
    own name.
    """
    for path, body in (("/", None), ("/page/map.json", None), ("/page/slice/0.png", None),
                       ("/gradio_api/upload", b"{}"), ("/gradio_api/call/read", b"{}")):
        request = urllib.request.Request(
            server.address + path, body, {"content-type": "text/plain"} | headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 403, path


def test_fifty_visitors_at_once_get_their_own_answers(server, run, capsys):
    scans = pd.read_parquet(run / "scans.parquet").sample(50, random_state=0)
    predictor = Predictor(run, "cpu")
    pictures = [np.array(Image.open(path)) for path in scans.path]
    expected = predictor.table(predictor.prepare(pictures))
    seconds = {}

    def visit(number: int) -> str:
        start = time.perf_counter()
        message = server.send(f"visitor-{number}.png", Path(scans.path.iloc[number]).read_bytes())
        seconds[number] = time.perf_counter() - start
        return message
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(visit, range(50)))
    for number, (response, row) in enumerate(zip(responses, expected.to_dict("records"))):
        assert f"visitor-{number}.png" in response and f'data-class="{row["class"]}"' in response, (
            number)
        assert f"{row['ood_score']:.2f} of the limit" in response, number  # a number of its own
    with capsys.disabled():
        print(f"\n50 visitors at once: median {np.median(list(seconds.values())):.1f} s, 95 % "
              f"within {np.quantile(list(seconds.values()), 0.95):.1f} s")


@needs_browser
@pytest.mark.nightly
def test_training_again_learns_from_the_labels(chromium, report, tmp_path):
    run = Path(shutil.copytree(report, tmp_path / "run"))
    before = pd.read_parquet(run / "scans.parquet")
    given = []
    with Server(run, tmp_path / "place") as server:
        visitor = Visitor(chromium, server.address)
        visitor.view("Label next")
        visitor.page.click("#label-retrain")
        visitor.page.get_by_text("No new labels yet").wait_for()
        visitor.page.wait_for_selector("#label-slice [data-row]")
        for _ in range(4):
            given.append(int(visitor.press(str(int(before.true_label[int(visitor.row())]) + 1))))
        visitor.page.click("#label-retrain")
        visitor.page.get_by_text("The training began, with 4 new labels").wait_for()
        visitor.page.wait_for_selector("#label-training .bc-meter", timeout=30_000)
        visitor.page.get_by_text("Trained again with 4 new labels").wait_for(timeout=180_000)
        assert ("no test slice" not in visitor.page.inner_text("#label-training")
                and visitor.page.locator("#label-training tr").count() == 3)
        visitor.page.reload()
        visitor.page.get_by_text("training 1 from the web app").wait_for()
        visitor.leave()
    after = pd.read_parquet(run / "retrained" / "001" / "scans.parquet")
    assert (after.split == "test").sum() == (before.split == "test").sum() and set(
        after.sha256[after.split == "test"]) == set(before.sha256[before.split == "test"])
    known = after.set_index("sha256").label
    assert (known[before.sha256[given]].to_numpy() == before.true_label[given].to_numpy()).all()
    assert (known >= 0).sum() == (before.label >= 0).sum() + 4
    # which responds when the web app is started again
    assert newest_run(run) == run / "retrained" / "001"


def test_one_sentence_for_what_cannot_be_served(run, tmp_path, capsys):
    from commands import app_command
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    (broken / "labels.csv").write_text("path,label,sha256,by,time\na.png,cyst,aa,me,now\n")
    for arguments, words in (([str(tmp_path)], "holds no model.json"),
                             ([str(run), str(tmp_path / "absent")], "does not exist"),
                             ([str(broken)], "got 'cyst'"),
                             ([str(run), "--port", "99999999"], "Give another --port")):
        assert app_command([*arguments, "--device", "cpu"]) == 2
        message = capsys.readouterr().err.strip().splitlines()
        assert words in message[-1] and message[-1].startswith("brainclust app: ")


def test_a_run_without_labels_knows_groups_only(run, tmp_path):
    from brainclust.app.pieces import groups_html, label_html, map_content
    from brainclust.app.views import headline
    from brainclust.app.workbench import Workbench, next_row
    unsupervised = tmp_path / "run"
    shutil.copytree(run, unsupervised)
    for name, change in (("model.json", {"cluster_classes": None}),
                         ("prediction.json", {"thresholds": None, "temperature": None})):
        save_json(unsupervised / name, load_json(unsupervised / name) | change)
    scans = pd.read_parquet(run / "scans.parquet")
    save_table(unsupervised / "scans.parquet", scans.assign(label=-1, true_label=-1))
    bench = Workbench(unsupervised, device="cpu")
    message = bench.read(np.array(Image.open(scans.path[0])), "a.png")
    assert ("The run had no labels" in message and re.search(r"<h3>Group \d</h3>", message)
            and "bc-bar" not in message and 'data-class=""' in message)
    assert [choice["title"] for choice in map_content(bench)["choices"]] == [
        "label, where known", "group", "source", "plane"]
    assert "without labels" in headline(bench) and "predicted" not in groups_html(bench)
    assert f'data-row="{next_row(bench, "me")}"' in label_html(
        bench, next_row(bench, "me"), hint=True)


def test_a_pile_of_scans_is_browsed_and_labelled(run, tmp_path):
    from brainclust.app.pieces import map_content
    from brainclust.app.workbench import Workbench, label_slice, next_row
    pile = write_phantoms(tmp_path / "pile", 3, 2, 64, seed=7)
    copy = tmp_path / "run"
    (pile / "labels.csv").unlink()
    (pile / "broken.png").write_bytes(b"nothing")
    shutil.copytree(run, copy)
    bench = Workbench(copy, pile, device="cpu")
    assert (len(bench.collection) == 24 and set(bench.collection.table.label) == {-1}
            and len(map_content(bench)["x"]) == 24)
    label_slice(bench, str(next_row(bench, "me")), "me", "glioma")
    assert len(bench.labels()) == 1 and set(pd.read_csv(copy / "labels.csv").path) <= set(
        bench.collection.table.path)
    assert not (pile / "labels.csv").exists()


def test_uploads_are_bounded(server, run):
    body = (b"--x\r\ncontent-disposition: form-data; name=\"files\"; filename=\"big.nii\"\r\n\r\n"
            + bytes(MAXIMUM_UPLOAD + 2**20) + b"\r\n--x--\r\n")
    assert server.get("/gradio_api/upload", body, "multipart/form-data; boundary=x")[0] == 413
    assert not [path for path in (run / "page" / "sent").rglob("*big.nii*")]
