"""Small examples of many tests: networks, runs, tables and unlikely names."""
import io
import tempfile
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from hypothesis import strategies as st
from test_formats import cheng_bytes, dicom_bytes, image_bytes, nifti_bytes

from brainclust.app import annotation
from brainclust.app.collection import Collection
from brainclust.core import config
from brainclust.core.config import make_config
from brainclust.core.files import load_json, save_json, save_table, write_csv
from brainclust.data import duplicates
from brainclust.models import encoders
from brainclust.models.encoders import make_network
from brainclust.models.mixture import fit_mixture
from brainclust.runs import evaluation, ood, predictor as predictor_module, run as run_module
from brainclust.training import batches as batches_module, distributed
from brainclust.training.batches import TrainingData, embed_slices
from brainclust.training.distributed import make_fabric
from brainclust.training.saved_model import save_model

NETWORKS = {
    name: encoders.make_network(name, 3, 32, decoder=True).eval() for name in encoders.ENCODERS}


CPU = torch.device("cpu")


FABRIC = distributed.make_fabric(CPU, "32-true")


def tiny_data(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    n_classes: int = 3,
    test: int = 0,
) -> batches_module.TrainingData:
    """Return training data of slices, the last `test` of which are the test set."""
    labels = np.arange(len(images)) % n_classes if labels is None else labels
    rows = np.arange(len(images))
    return batches_module.TrainingData(torch.from_numpy(np.array(images)), labels, labels,
                                 rows[: len(rows) - test], rows[len(rows) - test :], 0.5, 0.3,
                                 n_classes)


def tiny_config(**changes) -> config.Config:
    """Return settings for slices of 32 pixels and an epoch of seconds."""
    made = config.make_config(
        "paper", **{"encoder": "autoencoder", "image_size": 32, "epochs": 1, "augmentation": "weak",
                    "labelled_batch_size": 8, "unlabelled_batch_size": 16, "device": "cpu",
                    "precision": "32-true"} | changes)
    return made


def with_labels(data: batches_module.TrainingData, keep: np.ndarray) -> batches_module.TrainingData:
    """Return the data with the true labels of the slices in `keep`, all others hidden."""
    return replace(data, labels=np.where(keep, data.truth, -1))


IN_TRAIN = np.arange(30) < 24


EDGE_CASES = {
    "nothing special": lambda data: (data, {}),
    "no clustering term": lambda data: (data, {"cluster_weight": 0.0}),
    "one cluster": lambda data: (data, {"n_clusters": 1}),
    "as many clusters as slices": lambda data: (data, {"n_clusters": 24}),
    "one slice per batch": lambda data: (replace(data, train=np.arange(5)),
                                         {"labelled_batch_size": 1, "unlabelled_batch_size": 1}),
    "batches larger than the data": lambda data: (
        data, {"labelled_batch_size": 500, "unlabelled_batch_size": 500}),
    "no labels": lambda data: (with_labels(data, IN_TRAIN & False), {}),
    "all labels": lambda data: (with_labels(data, IN_TRAIN), {}),
    "labels of one class": lambda data: (with_labels(data, IN_TRAIN & (data.truth == 1)), {}),
    "one label": lambda data: (with_labels(data, np.arange(30) == 3), {}),
    "equal slices": lambda data: (replace(data, images=data.images[:1].repeat(30, 1, 1, 1)), {}),
    "black slices": lambda data: (replace(data, images=data.images * 0), {}),
    "no test slices": lambda data: (replace(data, test=data.test[:0]), {}),
    "nobody knows the truth": lambda data: (replace(data, truth=np.full(30, -1)), {}),
    "one slice": lambda data: (replace(data, train=data.train[:1]), {"n_clusters": 1}),
    "no warm-up left": lambda data: (
        data, {"cluster_warmup": 9, "ema_decay": 0.99, "flip_tta": True, "weight_decay": 10.0})}


def tiff_bytes(values: np.ndarray, **options) -> bytes:
    """Return the bytes of a TIFF file of any type of number."""
    tifffile.imwrite(file := io.BytesIO(), values, **options)
    return file.getvalue()


@cache
def small_files() -> dict[str, bytes]:
    """Return one small file per format and compression, by its name."""
    rng = np.random.default_rng(0)
    grey = (np.add.outer(np.arange(16), np.arange(12)) * 9 + rng.integers(0, 9, (16, 12))).astype(
        np.uint8)
    volume = nibabel.Nifti1Image(np.stack([grey.astype(np.int16) * 10] * 9), np.diag([1, 2, 3, 1.]))
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        RLELossless,
    )
    tags = dict(PatientID="p1", PixelSpacing=[0.5, 0.5], WindowCenter=100, WindowWidth=200,
                RescaleSlope=2, RescaleIntercept=1)
    return {
        ".png": image_bytes(grey), "palette.png": image_bytes(grey, bits=4),
        "rgb.png": image_bytes(np.stack([grey] * 3, -1)), ".jpg": image_bytes(grey, "JPEG"),
        ".bmp": image_bytes(grey, "BMP"), ".webp": image_bytes(grey, "WEBP"),
        ".tif": image_bytes(grey, "TIFF"),
        "deep.tif": image_bytes(grey.astype(np.uint16), "TIFF", compression="tiff_lzw"),
        "float.tif": image_bytes(grey.astype(np.float32), "TIFF", compression="tiff_adobe_deflate"),
        "rgb16.png": cv2.imencode(".png", np.stack([grey.astype(np.uint16) * 9] * 3, -1))[1]
        .tobytes(),
        "rgb16.tif": cv2.imencode(".tif", np.stack([grey.astype(np.uint16) * 9] * 3, -1))[1]
        .tobytes(),
        "float16.tif": tiff_bytes(grey.astype(np.float16)),
        "planar.tif": tiff_bytes(np.stack([grey.astype(np.uint16) * 9] * 3), photometric="rgb",
                                 planarconfig="separate", compression="zlib"),
        ".mat": cheng_bytes(grey * np.int16(5), grey > 60),
        ".dcm": dicom_bytes(grey.astype(np.uint16), bits=12, **tags),
        "deflated.dcm": dicom_bytes(grey, DeflatedExplicitVRLittleEndian),
        "rle.dcm": dicom_bytes(grey, RLELossless), "j2k.dcm": dicom_bytes(grey, JPEG2000Lossless),
        "jpeg.dcm": dicom_bytes(grey, JPEGBaseline8Bit),
        "frames.dcm": dicom_bytes(np.stack([grey] * 3)), ".nii": nifti_bytes(volume),
        ".nii.gz": nifti_bytes(volume, ".nii.gz")}


NUMBER_TYPES = st.sampled_from(
    [np.uint8, np.int8, np.int16, np.uint16, np.int64, np.uint64, np.float16, np.float32,
     np.float64])


MANY_CLASSES = tuple(f"class{i}" for i in range(10_000))


def shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows of a table in random order."""
    return table.sample(frac=1, random_state=seed)


def find_test_pairs(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the pairs of duplicates of a table, with random near-duplicates."""
    rng = np.random.default_rng(seed)
    pictures_of = {h: i for i, h in enumerate(sorted(set(table["pixels_sha256"])))}
    images = rng.integers(0, 256, (len(pictures_of), 32, 32))
    for i in range(1, len(images)):
        if rng.random() < .3:
            images[i] = duplicates.orient(images[i - 1], rng.choice(duplicates.ORIENTATIONS))
    small = np.array([images[pictures_of[h]] for h in table["pixels_sha256"]], np.float16).reshape(
        -1, 32, 32)
    return duplicates.duplicate_pairs(table, small)


NO_BRAIN_WARNING = pytest.mark.filterwarnings("ignore:the brain mask network")


UNLIKELY_NAMES = ["glioma", "meningioma", "notumor", "pituitary", r"$\frac{$", "costs $5 or $7",
         "<img src=x onerror=alert(1)>", 'the "no" class', "=1+1", "глиома", "_hidden", "a_b",
         "a very long name of a class of tumours that goes on", "R&D", "{name}", "100 %", "\\alpha",
         "'", "unknown", "back`tick", "a|b", "[x](javascript:1)"]


NUMBERS_OF_CLASSES = (1, 2, 4, 40)  # classes


def class_names(n: int) -> list[str]:
    """Return different class names, unlikely ones first."""
    return [*UNLIKELY_NAMES[4:], *UNLIKELY_NAMES[:4], *(f"class {k}" for k in range(n))][:n]


def counts_table(names: list[str], seed: int, missing: bool) -> pd.DataFrame:
    """Return counts by class, split and label, some of them unknown where `missing`."""
    rng = np.random.default_rng(seed)
    rows = [(name, split, labelled, rng.integers(0, 2000)) for name in names
            for split in ("train", "test") for labelled in (True, False) if rng.random() < 0.8]
    table = pd.DataFrame(
        rows or [(names[0], "train", True, 3)], columns=["class_name", "split", "labelled", "n"])
    return table.assign(n=table["n"].where(rng.random(len(table)) < .9)) if missing else table


def history_table(epochs: int, clusters: int, seed: int, holes: bool) -> pd.DataFrame:
    """Return a history of joint training, with zero and huge losses, unmeasured with `holes`."""
    rng = np.random.default_rng(seed)
    fractions = np.random.default_rng(seed).dirichlet(np.full(clusters, .3), epochs)
    columns = ["loss", "cross_entropy", "cluster_distance", "pseudo_labels", "reconstruction",
               "rehearsal", "lesion_map", "test_accuracy", "test_accuracy_clusters",
               "pseudo_label_accuracy",
               "cluster_change"]
    table = pd.DataFrame(
        {"epoch": np.arange(1, epochs + 1),
         **{name: rng.choice([0, 1.0, 1e-6, 1e5 if k < 7 else 1], epochs) if seed % 2
            else rng.random(epochs) for k, name in enumerate(columns)},
         **{f"cluster_share_{k}": fractions[:, k] for k in range(clusters)}})
    return (
        table.mask((rng.random(table.shape) < 0.3) & (table.columns != "epoch")) if holes else table
    )


def accuracy_table(methods: list[str], seed: int, columns: bool = True) -> pd.DataFrame:
    """Return accuracies on the given and the clean test set, with intervals where `columns`."""
    rng = np.random.default_rng(seed)
    rows = [{"method": name, "test_set": part, "accuracy": rng.choice([0, 1, rng.random(), np.nan])}
            for name in methods for part in ("given", "clean")]
    table = pd.DataFrame(rows)
    return (
        table.assign(low=(table.accuracy - 0.1).clip(0), high=(table.accuracy + 0.1).clip(upper=1),
                     chance=0.25) if columns else table)


@cache
def small_network(classes: int = 3):
    """Return an untrained network of 32 pixels and a mixture of its embeddings."""
    made = make_network("autoencoder", classes, 32, seed=0).eval()
    with torch.no_grad():
        embeddings = made(torch.randn(24, 1, 32, 32, generator=torch.Generator().manual_seed(0)))[
            0].numpy()
    return made, fit_mixture(embeddings, 4)


class WeightedSum(torch.nn.Module):
    """Sum all pixels with known weights, so that the cost of covering a square is known."""

    def __init__(self, weights: torch.Tensor):
        super().__init__()
        self.weights = weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.weights).sum(dim=(1, 2, 3))[:, None]


@cache
def small_predictor(classes: int = 4, named: bool = True) -> predictor_module.Predictor:
    """Return the predictor of an untrained run of 32 pixels, whose classes have unlikely names."""
    rng = np.random.default_rng(0)
    made = make_network("autoencoder", classes, 32, seed=0)
    data = TrainingData(torch.from_numpy(rng.integers(0, 256, (30, 1, 32, 32), dtype=np.uint8)),
                        np.arange(30) % classes, np.arange(30) % classes, np.arange(30),
                        np.arange(0), 0.5, 0.3, classes)
    fabric = make_fabric(torch.device("cpu"), "32-true")
    folder = Path(tempfile.mkdtemp())
    config = make_config("demo", image_size=32, encoder="autoencoder", device="cpu",
                         classes=tuple(f"class {k}" for k in range(classes)), n_clusters=5,
                         anchored=False, pseudo_label_weight=0.0)
    mixture = fit_mixture(embed_slices(fabric, made, data, flip_tta=config.flip_tta)[0], 5,
                          l2_normalise=config.l2_normalise)
    tensors = {"responsibilities": mixture.responsibilities(
                   embed_slices(fabric, made, data, flip_tta=config.flip_tta)[0]),
               **{f"mixture.{name}": value for name, value in vars(mixture).items()}}
    save_model(
        folder,
        SimpleNamespace(
            network=made, result=made,
            tensors={name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}),
        data, config)
    ood.save_reference(folder, fabric, made, data, np.arange(30) // 3,
                       ood.Calibration(1.3, [0.9 / classes] * classes, flip_tta=config.flip_tta))
    names = [name if name[0].isalnum() else f"c {name}" for name in class_names(classes)]
    clusters = [k % classes for k in range(5)] if named else None
    save_json(folder / "model.json",
              load_json(folder / "model.json") | {"classes": names, "cluster_classes": clusters})
    return predictor_module.Predictor(folder, "cpu", "32-true")


UNLIKELY_FILES = ["<img src=x onerror=alert(1)>.png", "=1+1.png", "line\rbreak.png", 'quote".png',
                  "骨 $x$.png", "-a.png", "a,b.png"]


class StubRun(SimpleNamespace):
    """Hold as much of a `Run` as tables and figures need."""


def finished_run(folder: Path, harmful: str, n: int = 6, clean: bool = True) -> Path:
    """Write the files of a run that a model card reads, every name of which is `harmful`."""
    classes = [harmful, "b"]
    predictions = pd.DataFrame(
        {"path": [f"{harmful} {k}" for k in range(n)], "y_true": [classes[k % 2] for k in range(n)],
         "y_pred": [classes[k // 2 % 2] for k in range(n)],
         "group": [f"{harmful} {k // 2}" for k in range(n)], "clean": clean})
    scans = pd.DataFrame(
        {"path": predictions.path, "sha256": [f"{k:064x}" for k in range(n)], "split": "test",
         "plane": "", "estimated_plane": ["axial", ""] * (n // 2), "source": harmful})
    (folder / "tables").mkdir(parents=True)
    write_csv(predictions, folder / "tables" / "test_predictions.csv")
    save_table(folder / "scans.parquet", scans)
    pd.DataFrame([{"method": "head", **dict.fromkeys(evaluation.SCORES, 0.5)}]).to_csv(
        folder / "tables" / "methods.csv", index=False)
    settings_ = {"preset": "demo", "data": f"/somewhere/{harmful}".replace("</", "<"),
                 "classes": classes, "n_clusters": 2, "encoder": "autoencoder", "image_size": 32,
                 "seed": 0, "bootstrap": 10}
    data = {"hash": "0" * 64, "slices": n, "labelled": 3,
            "counts": {"test": {harmful: n // 2, "b": n // 2}}, "clean_test": n,
            "removed": {harmful: 1}, "collection": {"licence": harmful}}
    save_json(folder / "run.json",
              {"config": settings_, "data": data, "versions": {"brainclust": harmful}, "seed": 0,
               "seconds": {}, "notes": [harmful],
               "results": {"epoch": 2, "calibration_error": None},
               "files": run_module.written_files(folder)})
    return folder


def remove_labels(run: Path) -> None:
    """Remove the true classes of the test slices from a run."""
    table = pd.read_csv(run_module.run_table(run, "test_predictions")).assign(y_true="")
    table.to_csv(run / "tables" / "test_predictions.csv", index=False)
    save_json(run / "run.json",
              load_json(run / "run.json") | {"files": run_module.written_files(run)})


HARMFUL_NAMES = [UNLIKELY_NAMES[6], "<script>alert(1)</script>", "[click](javascript:alert(1))",
                 "a|b", "line\nbreak", "`code`<b>", "骨 & $\\frac{$"]


def stub_workbench(n: int, named: bool, seed: int, classes: int = 4) -> SimpleNamespace:
    """Return as much of a `Workbench` as its views need, with unlikely names."""
    rng = np.random.default_rng(seed)
    names = class_names(classes)
    harmful = [*HARMFUL_NAMES, ""]
    table = pd.DataFrame(
        {"path": [f"/scans/{UNLIKELY_NAMES[4 + k % 18]} {k}.png".replace("</", "<")
                  for k in range(n)],
         "sha256": [f"{k:064x}" for k in range(n)], "split": "train",
         "label": rng.integers(-1, classes, n), "group": [f"p{k}" for k in range(n)],
         "source": rng.choice(harmful, n), "plane": rng.choice(harmful, n), "patient": "",
         "frame": -1,
         "class": rng.choice(names, n) if named else "", "abstain": rng.random(n) < 0.5,
         "cluster": rng.integers(0, 3, n), "ood_score": 0.5, "in_distribution": rng.random(n) < 0.5,
         "x": rng.choice([np.nan, 0.5], n), "y": 0.5})
    table["y"] = table["x"]
    outputs = {"embeddings": rng.normal(size=(n, 4)),
               "probabilities": rng.dirichlet(np.ones(classes), n),
               "responsibilities": rng.dirichlet(np.ones(3), n)}
    pairs = pd.DataFrame(
        {"path_a": table.path, "path_b": table.path, "kind": UNLIKELY_NAMES[6],
         "orientation": UNLIKELY_NAMES[6]})
    predictor = SimpleNamespace(
        classes_=np.array(names), named=named, source=None,
        description={"cluster_classes": [k % classes for k in range(3)] if named else None},
        mixture=SimpleNamespace(weights=np.ones(3)))
    folder = predictor.folder = Path(tempfile.mkdtemp())
    bench = SimpleNamespace(
        predictor=predictor,
        collection=Collection(table, np.zeros((n, 1, 8, 8), np.uint8), outputs, pairs), version="0",
        label_file=folder / "labels.csv", run=folder, data=None,
        scans=pd.DataFrame({"split": ["train"], "label": [0]}), queue=annotation.Queue(range(n)),
        prediction_lock=threading.Lock(), training_lock=threading.Lock(), training=None,
        outcome={"state": "none"})
    bench.labels = lambda: annotation.labels_in_force(
        annotation.read_labels(bench.label_file, names))
    return bench
