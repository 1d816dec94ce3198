"""Fixtures of the tests: tiny phantoms and tiny runs of the training notebook."""
import gc
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.register_assert_rewrite("assertions", "examples")
ROOT = Path(__file__).resolve().parent.parent
# Enough for two epochs at 32 pixels that take every step in seconds.
TINY = {"image_size": 32, "epochs": 2, "encoder": "autoencoder", "phantom_patients": 8,
        "phantom_slices": 3, "phantom_size": 64, "labelled_batch_size": 8,
        "unlabelled_batch_size": 16, "bootstrap": 20, "device": "cpu"}


def papermill_command(target: Path, **parameters) -> list[str]:
    """Return the papermill command line that runs the training notebook."""
    pairs = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    return [sys.executable, "-m", "papermill", str(ROOT / "nbs" / "train.ipynb"), str(target),
            *pairs, "--no-progress-bar"]


def run_papermill(target: Path, **parameters) -> subprocess.CompletedProcess:
    """Run the training notebook and return the finished process, its output as text."""
    return subprocess.run(
        papermill_command(target, **parameters), cwd=target.parent, capture_output=True, text=True)


def made_once(tmp_path_factory, name: str, make) -> Path:
    """Return a folder that `make(folder)` fills once for all test processes."""
    from filelock import FileLock
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    return folder


def pytest_addoption(parser) -> None:
    """Add the option for the long tests: `pytest --nightly -m nightly tests`."""
    parser.addoption(
        "--nightly", action="store_true", help="run the tests marked nightly, which take hours, too"
    )


def pytest_configure(config) -> None:
    """Name the mark, and ignore the warnings that damaged files are expected to cause."""
    gc.disable()  # what imports leave is not looked through a thousand times
    config.addinivalue_line("markers", "nightly: takes too long for every change")
    for warning in ("UserWarning:pydicom", "PIL.Image.DecompressionBombWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{warning}")


def pytest_collection_modifyitems(config, items) -> None:
    """Put the long tests first, and skip nightly ones unless they were asked for.

    Whole runs are tested in this folder itself. Short tests at the end keep no process waiting.
    """
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)
    if config.getoption("--nightly"): return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="nightly: run with --nightly"))


def keep_measured(cache: Path) -> None:
    """Copy into a new cache what needs seconds and depends on the package's code alone.

    Its names tell that code, so that no change of it is missed.
    """
    for name in ("atlas", "counterfactuals"):
        for file in Path(os.environ.get("BRAINCLUST_CACHE", cache)).glob(f"measured/{name}-*"):
            (cache / "measured").mkdir(parents=True, exist_ok=True)
            shutil.copy(file, cache / "measured")


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory) -> None:
    """Give the tests a cache of their own, and processes that do not fight for the cores."""
    cache = tmp_path_factory.mktemp("cache")
    keep_measured(cache)  # of the notebooks, which CI runs before
    os.environ["BRAINCLUST_CACHE"] = str(cache)
    os.environ["OMP_WAIT_POLICY"] = "passive"


def pytest_collection_finish(session) -> None:
    """Collect garbage as usual from now on, but not the modules."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def slices(tmp_path_factory) -> tuple:
    """Six patients per class, half of them labelled, and the file of their slices."""
    import numpy as np
    import torch

    from brainclust.synthetic.phantoms import make_phantoms
    from brainclust.training.batches import TrainingData
    phantoms = make_phantoms(6, 3, 64, seed=0, test_fraction=.3)
    table = phantoms.table
    file = tmp_path_factory.mktemp("slices") / "images.npy"
    train, test = (np.flatnonzero(table.split == split) for split in ("train", "test"))
    truth = table.label.to_numpy(dtype=np.int64)
    labels = np.where(np.isin(table.patient, table.patient[train].unique()[::2]), truth, -1)
    labels[test] = -1
    np.save(file, phantoms.images[:, None])
    return TrainingData(
        torch.from_numpy(phantoms.images[:, None]), labels, truth, train, test, 0.2, 0.2, 4), file


@pytest.fixture(scope="session")
def small_data(slices: tuple):
    """Return 24 training and 6 test slices of 32 pixels."""
    from dataclasses import replace

    import numpy as np
    whole, _ = slices
    rows = np.concatenate([whole.train[:: max(1, len(whole.train) // 24)][:24], whole.test[:6]])
    return replace(whole, images=whole.images[rows][:, :, ::2, ::2].contiguous(),
                   labels=whole.labels[rows], truth=whole.truth[rows], train=np.arange(24),
                   test=np.arange(24, 30))


@pytest.fixture(scope="session")
def phantom_tree(tmp_path_factory) -> Path:
    """Small phantoms as a user has scans: Training and Testing with one folder per class."""
    import pandas as pd

    from brainclust.synthetic.phantoms import write_phantoms
    def make(folder: Path) -> None:
        source = write_phantoms(folder / "source", 8, 3, 64, 0, .25)
        for row in pd.read_csv(source / "labels.csv").itertuples():
            target = (folder / "tree" / {"train": "Training", "test": "Testing"}[row.split]
                      / row.label / Path(row.path).name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((source / row.path).read_bytes())
    return made_once(tmp_path_factory, "Aufnahmen ü 扫描", make) / "tree"


@pytest.fixture(scope="session")
def report_settings(tmp_path_factory, phantom_tree: Path) -> dict:
    """The settings of the tiny report, but for its folder."""
    from brainclust.synthetic.phantoms import write_phantoms
    outside = made_once(tmp_path_factory, "andere Klinik", lambda folder: write_phantoms(
        folder / "andere Klinik", 3, 2, 64, seed=7)) / "andere Klinik"
    return {**TINY, "epochs": 4, "data": phantom_tree, "external": f"['{outside}']"}


@pytest.fixture(scope="session")
def report(tmp_path_factory, report_settings: dict) -> Path:
    """The run directory of one tiny report on a folder of scans.

    Whoever changes it takes a copy.
    """
    from commands import run_command
    def make(folder: Path) -> None:
        settings = {**report_settings, "out": folder / "run"}
        words = [word for name, value in settings.items() for word in ("-p", name, str(value))]
        begun = time.monotonic()
        assert run_command(words) == 0
        (folder / "seconds").write_text(str(time.monotonic() - begun))
    return made_once(tmp_path_factory, "ein Bericht ß", make) / "run"


ODD_CLASSES = {"glioma": ("no", 40), "meningioma": ("on", 20), "notumor": ("1.5", 8),
               "pituitary": ("0", 3)}  # names that YAML reads as something else, and their slices


def as_sequences(source: Path, target: Path) -> None:
    """Keep every phantom as channel 1 of a colour file, between two other pictures."""
    import numpy as np
    from PIL import Image
    for file in sorted(source.rglob("*.png")):
        grey = np.asarray(Image.open(file).convert("L"))
        other = np.where(grey > 20, 255 - grey, 0).astype(np.uint8)
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([other, grey, np.rot90(other, 2)], -1)).save(place)


def ask_while_it_runs(process: subprocess.Popen, settings: dict) -> list[tuple[int, str]]:
    """Ask for the folder of a running process in two ways; return status and last line of each.

    The first has begun then to write its folder.
    """
    from contextlib import redirect_stderr
    from io import StringIO

    from commands import run_command
    out = Path(settings["out"])
    while not (out / "config.json").exists():
        assert process.poll() is None and not time.sleep(.02)
    answers = []
    for more in ({}, {"seed": 5, "resume": True}):
        words = [word for name, value in {**settings, **more}.items()
                 for word in ("-p", name, str(value))]
        with redirect_stderr(StringIO()) as said:
            status = run_command(words)
        answers.append((status, said.getvalue().strip().splitlines()[-1]))
    return answers


def kill_kernel(process: subprocess.Popen) -> None:
    """Kill the kernel that runs a notebook, and wait until nothing of its run is left."""
    import psutil
    family = psutil.Process(process.pid).children(recursive=True)
    next(child for child in family if "ipykernel_launcher" in " ".join(child.cmdline())).kill()
    process.wait(120)
    assert not psutil.wait_procs(family, timeout=30)[1]


@pytest.fixture(scope="session")
def odd_run(tmp_path_factory) -> Path:
    """A folder with `run`, trained on channel 1 of the `colour` files of oddly named classes.

    `grey` holds the same slices as grey files. Its kernel was killed after an epoch had ended,
    and it went on; `asked.json` holds what those heard who asked for its folder before. A
    test that changes the run takes a copy.
    """
    import pandas as pd

    from brainclust.synthetic.phantoms import write_phantoms
    def make(folder: Path) -> None:
        phantoms = write_phantoms(folder / "phantoms", 40, 1, 64)
        for label, rows in pd.read_csv(phantoms / "labels.csv").groupby("label"):
            name, count = ODD_CLASSES[label]
            target = folder / "grey" / name
            target.mkdir(parents=True)
            for path in rows.path[:count]:
                (target / Path(path).name).write_bytes((phantoms / path).read_bytes())
        as_sequences(folder / "grey", folder / "colour")
        settings = {**TINY, "data": folder / "colour", "out": folder / "run",
                    "classes": "[no, on, 1.5, 0]", "channel": "1", "class_balance": "batches",
                    "crop": "head", "window_percentiles": "[1, 99]", "label_fraction": .5}
        first = subprocess.Popen(papermill_command(folder / "first.ipynb", **settings),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        asked = ask_while_it_runs(first, settings)
        while not (folder / "run" / "checkpoint" / "joint" / "state.json").exists():
            assert first.poll() is None and not time.sleep(.02)
        kill_kernel(first)
        asked += [(first.returncode, "killed")]
        (folder / "asked.json").write_text(json.dumps(asked))
        assert not (folder / "run" / "run.json").exists()
        done = run_papermill(folder / "out.ipynb", **settings, resume=True)
        assert done.returncode == 0, done.stderr
        assert "unknown parameter" not in done.stderr  # papermill's warning, of known settings
    return made_once(tmp_path_factory, "Klassen é", make)
