"""Untrusted input is data: it runs no code, reaches no other file, and stays within its bounds.

Input is a file, a folder, an archive, a model, a run, a parameter or a request. Its bounds are
those of memory and time.
"""
import ast
import hashlib
import importlib.util
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from datetime import date
from pathlib import Path, PurePosixPath

import h5py
import nibabel
import numpy as np
import pandas as pd
import papermill
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import torch
import yaml
from assertions import accepted, one_sentence, survives, time_limit
from commands import card_command, compare_command, run_command
from conftest import ROOT
from hypothesis import given, strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from papermill.parameterize import parameterize_path
from papermill.translators import PythonTranslator
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian
from safetensors.numpy import load_file
from test_formats import cheng_bytes, dicom_bytes

from brainclust.app.annotation import give_label, read_labels
from brainclust.app.pieces import goal_html, groups_html, label_html
from brainclust.app.reading import open_scan, refusal_html, similar_slices
from brainclust.app.retraining import training_parameters
from brainclust.app.server import page_routes
from brainclust.app.workbench import Workbench, label_slice, undo
from brainclust.core.config import CLASSES, make_config
from brainclust.core.files import (
    EMPTY_CHECKSUM,
    atomic_folder,
    checksummed_file,
    embedded_digest,
    load_json,
    save_json,
    save_table,
    save_tensors,
)
from brainclust.core.untrusted import check_parquet, plain_data
from brainclust.data.archives import arrange_archives, arrange_tree, unpack_archive
from brainclust.data.audit_report import picture_data
from brainclust.data.cleaning import prepare_scans
from brainclust.data.download import COLLECTIONS
from brainclust.data.images import UnreadableSlice
from brainclust.data.scan_table import read_scan_table
from brainclust.data.slices import decode_slice, read_mask, read_slice
from brainclust.data.volumes import load_nifti
from brainclust.imaging.brain_mask import load_brain_network
from brainclust.imaging.slice_cache import build_slice_cache
from brainclust.models.encoders import ResNetEncoder, make_network
from brainclust.models.imagenet import load_imagenet_weights
from brainclust.runs.comparison import read_run
from brainclust.runs.execute import parse_parameters, run_report
from brainclust.runs.export import load_exported
from brainclust.runs.model_card import model_card
from brainclust.runs.ood import Calibration, save_reference
from brainclust.runs.predictor import Predictor
from brainclust.runs.run import config_record, written_files
from brainclust.synthetic.phantoms import write_phantoms
from brainclust.training.batches import TrainingData
from brainclust.training.checkpoints import TrainingState, load_checkpoint
from brainclust.training.distributed import make_fabric
from brainclust.training.launch import read_job, write_job
from brainclust.training.loop import Trainer
from brainclust.training.saved_model import load_model, save_model
from brainclust.training.self_training import load_all_outputs, load_outputs, train_jointly
from brainclust.training.synthetic_pretraining import load_phantom_weights

# Small processes: they fail unless they finish within these bounds.
BOUNDED = """
import json, sys, time
from pathlib import Path
status = lambda: Path("/proc/self/status").read_text()
memory = lambda name: int(status().split(name + ":")[1].split()[0]) / 1024
{imports}
if sys.platform == "linux":
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = memory("VmRSS")
results = {{}}
for name in sys.argv[1:]:
    try: results[name] = str({call})[:200]
    except ({errors}) as error: results[name] = "refused: " + str(error)
grown = memory("VmHWM") - before if sys.platform == "linux" else 0
print(json.dumps({{"results": results, "grown": grown}}))
"""


def asked_apart(
    imports: str,
    call: str,
    names: list,
    errors: str = "ValueError, OSError",
    seconds: int = 120,
) -> tuple[dict[str, str], float]:
    """Evaluate `call`, an expression of `name`, for each name in one process of its own.

    Return the results by file name, and the megabytes it grew by.
    """
    program = BOUNDED.format(imports=imports, call=call, errors=errors)
    done = subprocess.run([sys.executable, "-c", program, *map(str, names)], capture_output=True,
                          text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    response = json.loads(done.stdout.splitlines()[-1])
    return {Path(name).name: text for name, text in response["results"].items()}, response["grown"]


def deflated_zeros(megabytes: int, start: bytes = b"", wbits: int = 15) -> bytes:
    """A deflated stream that begins with `start` and goes on with zeros."""
    packer = zlib.compressobj(1, wbits=wbits)
    return (packer.compress(start)
            + b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush())


# Pictures, volumes and matrices -------------------------------------------------------------------

def chained_tiff(pages: int) -> bytes:
    """A TIFF file whose pages all show the same pixels: each costs its reader a hundred bytes."""
    tags = [(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (273, 8), (278, 64), (279, 4096)]
    page = lambda following: (
        struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        + struct.pack("<I", following))
    start = 8 + 4096
    size = len(page(0))
    return (b"II*\0" + struct.pack("<I", start) + bytes(4096)
            + b"".join(page(start + size * (n + 1) if n < pages - 1 else 0) for n in range(pages)))


def lying_dicom() -> bytes:
    """A deflated DICOM file that states a wrong length of its header, where a harmless stream waits
    for whoever believes it.
    """
    honest = dicom_bytes(np.zeros((8, 8), np.uint8), DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(honest[140:144], "little")
    content = bytearray(honest[:start] + deflated_zeros(300, wbits=-15))
    content[140:144] = (len(content) - 144).to_bytes(4, "little")
    return bytes(content) + deflated_zeros(0, b"harmless", -15)


def implicit_header() -> bytes:
    """A DICOM file whose header is written without types, which pydicom reads at its second
    attempt, before a bomb.
    """
    element = lambda tag, value: struct.pack("<HHL", 2, tag, len(value)) + value
    header = element(0x10, b"1.2.840.10008.1.2.1.99") + element(2, b"1.2.840.10008.5.1.4.1.1.4\0")
    return bytes(128) + b"DICM" + header + deflated_zeros(300, wbits=-15)


def many_frames() -> bytes:
    """A DICOM file of one frame that claims a million."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(np.zeros((8, 8), np.uint8))))
    dataset.NumberOfFrames = 1_000_000
    dataset.save_as(content := io.BytesIO())
    return content.getvalue()


def claimed_frames(frames: int) -> bytes:
    """A DICOM file of one frame that claims as many as are just allowed."""
    return many_frames().replace(b"1000000 ", str(frames).encode().ljust(8))


def large_extension() -> bytes:
    """A NIfTI file whose header is followed by an extension of more than a gigabyte."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((16, 16, 16))
    header["magic"], header["vox_offset"] = b"n+1", 1.2e9
    return deflated_zeros(
        300, header.binaryblock + b"\1\0\0\0" + struct.pack("<2i", 1_100_000_000, 6), 31)


def greedy_files() -> dict[str, tuple[bytes, str]]:
    """Small files that would take gigabytes or hours, and the reason each must be given."""
    with h5py.File(patient := io.BytesIO(), "w") as file:
        file["cjdata/image"] = np.zeros((64, 64), np.int16)
        file["cjdata/label"] = np.array([[1.]])
        file.create_dataset(
            "cjdata/PID", (8192, 8192), "i2", chunks=(1024, 1024), compression="gzip", fillvalue=65)
    return {"pages.tif": (chained_tiff(20_000), "several pages"),
            "lying.dcm": (lying_dicom(), "too large"),
            "frames.dcm": (many_frames(), "too large: 1,000,000 frames"),
            "implicit.dcm": (implicit_header(), "too large: the file inflates"),
            "patient.mat": (patient.getvalue(), "too large: cjdata.PID"),
            "extension.nii.gz": (large_extension(),
                                 "cannot be decoded: the header places the voxels outside")}


def test_greedy_files_are_refused_in_little_memory_and_time(tmp_path):
    files = greedy_files()
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    results, grown = asked_apart(
        "from brainclust.data.scan_files import inspect_file",
        f"inspect_file(Path(name), Path({str(tmp_path / 'cache')!r}))[0]['reason']",
        [tmp_path / name for name in files])
    for name, (_, reason) in files.items():
        assert results[name].startswith(reason), (name, results[name])
    assert grown < 150  # MB; one of these would be hundreds, or thousands
    for name in ("frames.dcm", "extension.nii.gz"):
        with pytest.raises(UnreadableSlice):
            open_scan(tmp_path / name)


# just allowed are 65,000, nightly; a tenth takes seconds less
@pytest.mark.parametrize("frames, megabytes", [
    (6500, 100), pytest.param(65_000, 100, marks=pytest.mark.nightly)])
def test_frames_that_are_not_there_are_not_prepared_for(tmp_path, frames, megabytes):
    (tmp_path / "frames.dcm").write_bytes(claimed_frames(frames))
    results, grown = asked_apart(
        "from brainclust.data.scan_files import inspect_file",
        f"inspect_file(Path(name), Path({str(tmp_path / 'cache')!r}))[0]['reason']",
        [tmp_path / "frames.dcm"])
    assert results["frames.dcm"].startswith(("truncated", "cannot be decoded"))
    assert grown < megabytes


def test_pictures_that_claim_gigapixels_are_refused_before_they_are_decoded(tmp_path):
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"):
        Image.new("L", (9, 9)).save(file := io.BytesIO(), format=kind)
        content = bytearray(file.getvalue())
        if kind == "PNG":
            content[16:24] = struct.pack(">II", 60_000, 60_000)
            content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        elif kind == "JPEG":
            place = content.index(b"\xff\xc0")
            content[place + 5:place + 9] = struct.pack(">HH", 60_000, 60_000)
        elif kind == "TIFF":
            for tag in (256, 257):
                place = (content.index(
                             struct.pack(
                                 "<HHI", tag, 4 if struct.pack("<HH", tag, 4) in content else 3, 1))
                         + 8)
                content[place:place + 4] = struct.pack("<I", 60_000)
        elif kind == "BMP":
            content[18:26] = struct.pack("<ii", 60_000, 60_000)
        elif kind == "WEBP":
            place = content.index(b"\x9d\x01\x2a") + 3
            content[place:place + 4] = struct.pack("<HH", 16_383, 16_383)
        else:
            content[6:10] = struct.pack("<HH", 60_000, 60_000)
        (tmp_path / f"{kind}.png").write_bytes(content)
    names = sorted(tmp_path.iterdir())
    for reader in ("read_slice(name)", "read_mask(name)"):
        results, grown = asked_apart(
            "from brainclust.data.slices import read_mask, read_slice", reader, names)
        for name, response in results.items():
            assert response.startswith("refused: ") and (
                "GIF" in response or "not an image" in response if name == "GIF.png"
                else "too large" in response or "cannot be decoded" in response), (name, response)
        assert grown < 100


def test_no_picture_starts_a_program(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript.

    Also behind the suffix of a picture, or in the free first bytes of a DICOM file.
    """
    trap, programs = tmp_path / "trap", tmp_path / "programs"
    programs.mkdir()
    for name in ("gs", "gswin64c", "gswin32c"):
        (programs / name).write_text(f"#!/bin/sh\ntouch '{trap}'\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    postscript = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    dicom = bytearray(
        dicom_bytes(
            np.stack([np.arange(4096, dtype=np.uint8).reshape(64, 64)] * 3, -1), photometric="RGB"))
    dicom[:len(postscript)] = postscript
    scans = tmp_path / "scans" / "glioma"
    scans.mkdir(parents=True)
    (scans / "a.png").write_bytes(postscript)
    (scans / "b.dcm").write_bytes(dicom)
    table, unreadable = read_scan_table(tmp_path / "scans", cache_folder=tmp_path / "cache")
    assert [Path(path).name for path in table["path"]] == ["b.dcm"] and unreadable["reason"][
        0].startswith("not an image")
    assert picture_data(str(scans / "b.dcm"), "RGB").startswith("data:image/jpeg")
    with pytest.raises(UnreadableSlice, match="not an image"):
        read_mask(scans / "a.png")
    assert not trap.exists()


def test_a_matlab_file_reads_no_other_file(tmp_path):
    image = np.arange(4096, dtype=np.int16).reshape(64, 64)
    (tmp_path / "other.mat").write_bytes(cheng_bytes(image, image > 9))
    (tmp_path / "secret.raw").write_bytes(bytes(range(256)) * 32)
    def linked(path: Path, link) -> Path:
        with h5py.File(path, "w") as file:
            link(file)
        return path
    def external(file) -> None:
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
        file["cjdata"].create_dataset(
            "image", (64, 64), "i2", external=[(str(tmp_path / "secret.raw"), 0, 8192)])
    def virtual(file) -> None:
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
        layout = h5py.VirtualLayout((64, 64), "i2")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.mat"), "cjdata/image", (64, 64))
        file["cjdata"].create_virtual_dataset("image", layout)
    def within(file) -> None:
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
        file["cjdata/image"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/cjdata/image")
    def whole(file) -> None:
        file["cjdata"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/cjdata")
    for link in (external, virtual, within, whole):
        with pytest.raises(UnreadableSlice):
            decode_slice(linked(tmp_path / "link.mat", link).read_bytes(), ".mat")


def test_a_patient_is_text_that_every_table_can_hold():
    image = np.arange(4096, dtype=np.int16).reshape(64, 64)
    for patient in ("\ud800", "a\nb", "\0"):
        with pytest.raises(UnreadableSlice, match="unknown patient"):
            decode_slice(cheng_bytes(image, image > 9, patient), ".mat")
    assert (
        decode_slice(cheng_bytes(image, image > 9, "MR042D"), ".mat").facts["patient"] == "MR042D")


def test_a_patient_is_no_formula():
    formula = '=HYPERLINK("http://example.org")'
    image = np.arange(4096).astype(np.uint8).reshape(64, 64)
    assert (decode_slice(dicom_bytes(image, PatientID=formula), ".dcm").facts["patient"]
            == "_" + formula)
    assert (decode_slice(cheng_bytes(image.astype(np.int16), image > 9, "-1+1"), ".mat").facts[
                "patient"] == "_-1+1")
    assert decode_slice(dicom_bytes(image, PatientID="a=b"), ".dcm").facts["patient"] == "a=b"


def test_an_extension_is_passed_over(tmp_path):
    volume = np.arange(16**3, dtype=np.uint16).reshape(16, 16, 16)
    image = nibabel.Nifti1Image(volume, np.diag([2., 3, 4, 1]))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a note" * 1000))
    nibabel.save(image, tmp_path / "a.nii.gz")
    voxels, affine, _ = load_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(voxels, volume)
    np.testing.assert_array_equal(affine, image.affine)


# No pickle is loaded ------------------------------------------------------------------------------

class Trap:
    """Whoever unpickles this makes a file."""

    def __init__(self, file: Path):
        self.file = file
    def __reduce__(self):
        return Path.touch, (self.file,)


def pickles(trap: Path) -> dict[str, bytes]:
    """The trap as pickle, PyTorch and NumPy write it."""
    plain = pickle.dumps(Trap(trap))
    torch.save({"conv1.weight": Trap(trap)}, packed := io.BytesIO())
    torch.save(Trap(trap), old := io.BytesIO(), _use_new_zipfile_serialization=False)
    array = np.empty(1, object)
    array[0] = Trap(trap)
    np.save(stored := io.BytesIO(), array, allow_pickle=True)
    return {"pickle": plain, "torch": packed.getvalue(), "old torch": old.getvalue(),
            "numpy": stored.getvalue()}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of two epochs, with all that a finished one leaves for prediction, comparison, card and
    page.
    """
    folder = tmp_path_factory.mktemp("security")
    scans = prepare_scans(
        write_phantoms(folder / "slices", 6, 2, 64, seed=0, test_fraction=0.34),
        label_fraction=0.5, cache_folder=folder)[0]
    config = make_config("demo", image_size=32, epochs=2, labelled_batch_size=8,
                         unlabelled_batch_size=16, precision="32-true", device="cpu")
    out = folder / "run"
    (out / "tables").mkdir(parents=True)
    images = build_slice_cache(scans, folder / "cache", 32, "none")
    train, test = (np.flatnonzero(scans.split == split) for split in ("train", "test"))
    data = TrainingData(torch.from_numpy(np.array(images)), np.array(scans.label),
                        np.array(scans.true_label), train, test, 0.2, 0.2, 4)
    fabric = make_fabric(torch.device("cpu"), "32-true")
    state = train_jointly(
        fabric, make_network("autoencoder", 4, 32, seed=0), data, config, out / "checkpoint")
    save_model(out, state, data, config)
    save_reference(out, fabric, state.network, data, np.arange(len(scans)),
                   Calibration(1.2, [0.3] * 4, flip_tta=config.flip_tta))
    save_table(out / "scans.parquet", scans)
    write_job(
        out / "checkpoint", "joint training", state.network, data, config, folder / "images.npy")
    np.save(folder / "images.npy", images)
    known = dict(zip(("accuracy", "low", "high", "clean_accuracy", "clean_low", "clean_high"),
                     (0.5, 0.4, 0.6) * 2))
    pd.DataFrame([{"method": "head", **known}]).to_csv(out / "tables" / "methods.csv", index=False)
    tested = scans[scans.split == "test"]
    names = np.array(CLASSES)[tested.true_label]
    pd.DataFrame({"path": tested.path, "y_true": names, "y_pred": names, "group": tested.group,
                  "clean": True}).to_csv(out / "tables" / "test_predictions.csv", index=False)
    record = {
        "config": config_record(config), "files": written_files(out),
        "versions": {"brainclust": "0"}, "seed": 0, "seconds": {}, "notes": [],
        "data": {"slices": len(scans), "labelled": 2, "hash": "0", "clean_test": 2, "removed": {},
                 "counts": {"train": {"glioma": 3}}}, "results": {"epoch": 2}}
    for name, content in (("config.json", record["config"]), ("run.json", record)):
        save_json(out / name, content)
    return out


@pytest.fixture
def handed(run, tmp_path) -> Path:
    """A copy of the run that may be spoilt."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def fresh_state() -> TrainingState:
    """Return the state in which a training begins."""
    config = make_config("demo", image_size=32, epochs=2, precision="32-true", device="cpu")
    none = np.zeros(0, dtype=np.int64)
    images = torch.zeros(0, 1, 32, 32, dtype=torch.uint8)
    data = TrainingData(images, none, none, none, none, 0., 1., 4)
    fabric = make_fabric(torch.device("cpu"), "32-true")
    return Trainer(fabric, make_network("autoencoder", 4, 32), data, config).state


def vouch(run: Path) -> None:
    """Let a run's record name its tables as they are now, as an attacker would."""
    save_json(run / "run.json", load_json(run / "run.json") | {"files": written_files(run)})


def plant(file: Path, content: bytes) -> None:
    """Replace a file, with a valid checksum as far as possible.

    A pickle may be followed by anything.
    """
    file.write_bytes(content + EMPTY_CHECKSUM.encode())
    start, digest = embedded_digest(file.read_bytes())
    file.write_bytes(file.read_bytes()[:start] + digest.encode())
    if file.name.startswith("state_"):
        state = file.with_name("state.json")
        save_json(
            state, load_json(state) | {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
    if file.parent.name == "tables":
        vouch(file.parents[1])


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch", "numpy"])
def test_nothing_that_is_handed_over_is_unpickled(handed, kind, tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    checkpoint = handed / "checkpoint"
    cpu = torch.device("cpu")
    content = pickles(trap)[kind]
    last = next(checkpoint.glob("state_*.safetensors"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    weights = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    readers = {
        handed / "model.safetensors": lambda file: load_model(handed),
        handed / "prediction.safetensors": lambda file: Predictor(handed, "cpu"),
        handed / "model.json": lambda file: load_model(handed),
        handed / "prediction.json": lambda file: Predictor(handed, "cpu"),
        last: lambda file: load_checkpoint(fresh_state(), checkpoint),
        checkpoint / "epoch_002.safetensors": lambda file: load_outputs(checkpoint, 2),
        checkpoint / "all_slices.safetensors": lambda file: load_all_outputs(checkpoint),
        checkpoint / "state.json": lambda file: load_checkpoint(fresh_state(), checkpoint),
        checkpoint / "job" / "network.safetensors": lambda file: read_job(checkpoint / "job", cpu),
        checkpoint / "job" / "rows.safetensors": lambda file: read_job(checkpoint / "job", cpu),
        checkpoint / "job" / "job.json": lambda file: read_job(checkpoint / "job", cpu),
        handed / "scans.parquet": lambda file: read_run(handed),
        handed / "run.json": lambda file: read_run(handed),
        handed / "tables" / "methods.csv": lambda file: read_run(handed),
        handed / "tables" / "test_predictions.csv": lambda file: model_card(handed),
        handed / "labels.csv": lambda file: read_labels(file, CLASSES),
        weights: lambda file: load_imagenet_weights(ResNetEncoder()),
        tmp_path / "phantom_encoder.safetensors": lambda file: load_phantom_weights(
            make_network("autoencoder", 4, 32), file=file),
        tmp_path / "brain_mask.safetensors": load_brain_network,
        tmp_path / "images.npy": lambda file: read_job(checkpoint / "job", cpu),
        **{tmp_path / f"scan{suffix}": read_slice for suffix in (".mat", ".png", ".dcm", ".tif")},
        tmp_path / "scan.nii.gz": load_nifti, tmp_path / "scan.nii": load_nifti,
        tmp_path / "mask.mat": read_mask, tmp_path / "run.onnx": load_exported}
    save_json(checkpoint / "job" / "job.json",
              load_json(checkpoint / "job" / "job.json") | {"images": str(tmp_path / "images.npy")})
    if importlib.util.find_spec("onnxruntime") is None:
        del readers[tmp_path / "run.onnx"]
    np.save(tmp_path / "images.npy", np.zeros((3, 1, 32, 32), np.uint8))
    for file, reader in readers.items():
        before = {path: path.read_bytes()
                  for path in (file, checkpoint / "state.json", handed / "run.json")
                  if path.exists()}
        plant(file, content)
        with pytest.raises(
            (ValueError, OSError, nibabel.filebasedimages.ImageFileError)) as refused:
            reader(file)
        one_sentence(refused.value)
        assert not trap.exists(), f"{file.name} was unpickled"
        for path, old in before.items():
            path.write_bytes(old)
        if file not in before:
            file.unlink()
    # all is well again
    (load_model(handed), Predictor(handed, "cpu"), load_checkpoint(fresh_state(), checkpoint),
     read_run(handed), model_card(handed))


def test_caches_with_pickles_in_them_are_made_anew(tmp_path, slices):
    trap = tmp_path / "trap"
    scans = prepare_scans(write_phantoms(tmp_path / "slices", 3, 1, 64, seed=0),
                          label_fraction=1.0, cache_folder=tmp_path)[0]
    images = np.array(build_slice_cache(scans, tmp_path / "cache", 32, "none"))
    stored, = (tmp_path / "cache").glob("*/images.npy")
    for content in pickles(trap).values():
        stored.write_bytes(content)
        np.testing.assert_array_equal(
            build_slice_cache(scans, tmp_path / "cache", 32, "none"), images)
        for table in (tmp_path / "measured").glob("*.parquet"):
            table.write_bytes(content)
        assert len(read_scan_table(tmp_path / "slices", cache_folder=tmp_path)[0]) == len(scans)
    assert not trap.exists()


def test_a_parquet_table_cannot_bring_code(handed, tmp_path):
    trap = tmp_path / "trap"
    table = pq.read_table(handed / "scans.parquet")
    hidden = {b"ARROW:extension:name": b"arrow.py_extension_type",
              b"ARROW:extension:metadata": pickle.dumps(Trap(trap))}
    schema = pa.schema(
        [field.with_metadata(hidden) for field in table.schema], table.schema.metadata)
    pq.write_table(pa.Table.from_arrays(table.columns, schema=schema), handed / "scans.parquet")
    with warnings.catch_warnings(action="ignore"):
        (survives(check_parquet, handed / "scans.parquet"),
         survives(pd.read_parquet, handed / "scans.parquet"))
    assert not trap.exists()


FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
FORBIDDEN_CALLS = {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
                   "yaml.load_all", "pd.read_pickle", "pandas.read_pickle", "joblib.load",
                   "torch.hub.load", "subprocess.getoutput", "subprocess.getstatusoutput",
                   "np.lib.npyio.NpzFile"}


def dangers(source: str) -> list[str]:
    """Return the calls in Python source that could run code from data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [
                name.name for name in node.names if name.name.split(".")[0] in FORBIDDEN_MODULES]
        if isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN_MODULES:
            found += [f"{node.module}.{name.name}" for name in node.names
                      if not name.name.endswith("Error")]
        if not isinstance(node, ast.Call): continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in FORBIDDEN_NAMES | FORBIDDEN_CALLS:
            found.append(name)
        if name in ("torch.load", "load_state_dict_from_url") or name.endswith(
            (".get_state_dict", ".load_state_dict_from_url")):
            if given.get("weights_only") != "True":
                found.append(name)
        if (given.get("allow_pickle", "False") != "False" or given.get("shell", "False") != "False"
            or "trust_remote_code" in given or "pickle_module" in given):
            found.append(name)
    return found


def test_nothing_in_the_project_runs_data():
    for source in ("import pickle", "from dill import load", "torch.load(f)",
                   "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)",
                   "yaml.load(t)", "eval(t)", "exec(t)", "run(c, shell=True)", "os.system(c)",
                   "f(m, trust_remote_code=True)", "w.get_state_dict(progress=True)",
                   "pd.read_pickle(f)"):
        assert dangers(source), source
    assert (
        dangers(
            "torch.load(f, weights_only=True)\nnp.load(f)\nyaml.safe_load(t)\nnetwork.eval()\n"
            "from pickle import UnpicklingError"
        )
        == []
    )
    assert FORBIDDEN_MODULES & {"pickle"} and not dangers("x = 1")
    shell = TransformerManager()
    sources = {
        path: path.read_text(encoding="utf-8") for path in (ROOT / "brainclust").rglob("*.py")}
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources[path] = "\n".join(shell.transform_cell("".join(cell["source"]))
                                  for cell in cells if cell["cell_type"] == "code")
    assert len(sources) > 70
    for path, source in sources.items():
        assert dangers(source) == [] and "get_ipython().system" not in source, path


# Archives -----------------------------------------------------------------------------------------

PARTS_OF_NAMES = st.one_of(
    st.sampled_from(
        ["..", ".", "", "C:", "a", "A", "b.png", "B.png", "CON", "nul.png", " ", "a.", "\\..\\",
         "/", "~", "$HOME", "a" * 300, "ä", "a\u0308", "1.mat"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
MEMBERS = st.lists(st.tuples(st.lists(PARTS_OF_NAMES, min_size=1, max_size=4).map("/".join),
                             st.sampled_from([b"", b"x", b"y" * 100])), min_size=1, max_size=6)


def archive_of(members) -> bytes:
    """A zip archive whose members have these names as they stand."""
    with zipfile.ZipFile(stream := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            with warnings.catch_warnings(action="ignore"):
                archive.writestr(info, content)
    return stream.getvalue()


def everything(folder: Path) -> dict[str, bytes | None]:
    """All files, folders and links below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            if path.is_file() and not path.is_symlink() else None for path in folder.rglob("*")}


@given(members=MEMBERS, existing=st.sampled_from(["nothing", "file", "link", "folder link"]))
def test_members_of_any_name_stay_inside(tmp_path_factory, members, existing):
    place = tmp_path_factory.mktemp("zip")
    (outside := place / "outside").mkdir()
    (outside / "kept.txt").write_text("kept")
    (target := place / "target").mkdir()
    if existing == "file":
        (target / "a").write_text("was here")
    if existing == "link":
        (target / "b.png").symlink_to(outside / "kept.txt")
    if existing == "folder link":
        (target / "a").symlink_to(outside)
    (place / "a.zip").write_bytes(archive_of(members))
    # where Python's reader lets a name end
    members = [(name.split("\0")[0], content) for name, content in members]
    before = everything(target)
    unpacked = accepted(unpack_archive, place / "a.zip", target, refuses=(ValueError,))
    assert everything(outside) == {"kept.txt": b"kept"} and {
        path.name for path in place.iterdir()} == {"outside", "target", "a.zip"}
    assert all(everything(target)[name] == content for name, content in before.items())
    if unpacked is not None:
        expected = {PurePosixPath(name).as_posix(): content for name, content in members
                    if not name.endswith("/")}
        assert {name: content for name, content in everything(target).items()
                if content is not None and name not in before} == expected
        assert len(expected) == sum(not name.endswith("/") for name, _ in members)


@given(places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1,
                       max_size=8), cut=st.integers(0, 400))
def test_a_spoilt_archive_is_refused_in_a_sentence(tmp_path_factory, places, cut):
    place = tmp_path_factory.mktemp("zip")
    content = bytearray(
        archive_of([("a/1.mat", b"one" * 99), ("a/2.mat", b"two" * 9), ("ä.png", b"")]))
    for where, value in places:
        content[where % len(content)] = value
    (place / "a.zip").write_bytes(content[:len(content) - cut])
    (place / "target").mkdir()
    accepted(unpack_archive, place / "a.zip", place / "target", refuses=(ValueError,))
    assert {path.name for path in place.iterdir()} == {"target", "a.zip"}


def test_greedy_archives_are_refused(tmp_path, capsys):
    inner = archive_of([(f"{n}.mat", b"x") for n in range(30)])
    nested = archive_of(
        [(f"{n}.zip", archive_of([(f"{n}{m}.mat", bytes(90_000)) for m in range(10, 20)]))
         for n in range(10)])
    lying = bytearray(archive_of([("1.mat", bytes(900_000))]))
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):  # both places say that nothing is inside
        where = lying.index(mark) + place
        lying[where:where + 4] = (100).to_bytes(4, "little")
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.mat", b"x")
    for content, bounds, words in ((inner, {"maximum_files": 20}, "30 files"),
                                   (nested, {"maximum_bytes": 500_000}, "500,000 bytes; got"),
                                   (nested, {"maximum_files": 50}, "must hold at most 0 files"),
                                   (bytes(lying), {}, "damaged"),
                                   (packed.getvalue(), {}, "packed in a way")):
        (tmp_path / "a.zip").write_bytes(content)
        with (pytest.raises(ValueError, match=words),
              atomic_folder(tmp_path / "target", lambda place: True) as unfinished):
            arrange_archives(
                [tmp_path / "a.zip"], unfinished, COLLECTIONS["cheng"].layout, **bounds)
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_list_of_a_million_members_is_not_read(tmp_path):
    entry = zipfile.ZipInfo("a" * 8)
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        archive.writestr(entry, b"")
    content = stream.getvalue()
    mark = stream.getvalue().index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    count = 1_000_000
    entries = content[mark:end] * count
    (tmp_path / "a.zip").write_bytes(content[:mark] + entries + content[end : end + 12]
                                     + len(entries).to_bytes(4, "little") + content[end + 16 :])
    results, grown = asked_apart("from brainclust.data.archives import unpack_archive",
                              "unpack_archive(Path(name), Path(name).parent)", [tmp_path / "a.zip"])
    assert "more files than the bound" in results["a.zip"] and grown < 100


def test_two_files_of_a_tree_never_share_a_place(tmp_path):
    for folder in ("Training/glioma", "copy/Training/glioma"):
        (tmp_path / "tree" / folder).mkdir(parents=True)
        (tmp_path / "tree" / folder / "a.png").write_text(folder)
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="two files that both become Training/glioma/a.png"):
        arrange_tree(tmp_path / "tree", tmp_path / "out", COLLECTIONS["kaggle"].layout)


# Tables, JSON and YAML of absurd size or depth ----------------------------------------------------

def test_absurd_tables_and_texts_are_refused(tmp_path, run):
    (scans := tmp_path / "scans").mkdir()
    Image.new("L", (64, 64), 9).save(scans / "a.png")
    labels = scans / "labels.csv"
    for content, words in (
        ("path,label," + "x," * 5000 + "\na.png,glioma\n", "must have at most 1,000 columns"),
        ("\"path\n\",label" + ",x" * 5000 + "\na.png,glioma\n", "must have at most 1,000 columns"),
        ("path,label," + "x" * 2**20 + "\n" + '"' * 99_999, "labels.csv")):
        labels.write_text(content)
        with pytest.raises(ValueError, match=words) as refused:
            read_scan_table(scans, cache_folder=tmp_path / "cache")
        one_sentence(refused.value)
    with labels.open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(ValueError, match="must have at most"):
        read_scan_table(scans, cache_folder=tmp_path / "cache")
    labels.unlink()
    for spoil in (lambda: labels.symlink_to("/dev/zero"), lambda: os.mkfifo(labels), labels.mkdir):
        spoil()
        with time_limit(20), pytest.raises(ValueError, match="must be a regular file"):
            read_scan_table(scans, cache_folder=tmp_path / "cache")
        labels.rmdir() if labels.is_dir() else labels.unlink()
    assert len(read_scan_table(scans, cache_folder=tmp_path / "cache")[0]) == 1
    for text in ("[" * 90_000, "{a: " * 20_000, "&a [" + "*a," * 99 + "]", "a" * 200_000,
                 "&a [x]\n- *a", "- " * 40_000):
        with pytest.raises(ValueError) as refused:
            parse_parameters([["overrides", text]])
        one_sentence(refused.value)
        with pytest.raises(ValueError) as refused:
            make_config(overrides=text)
        one_sentence(refused.value)
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi"))
    with pytest.raises(ValueError, match="aliases"):
        parse_parameters([["overrides", bomb]])


def test_tables_that_would_fill_the_memory_are_refused(handed):
    scans = handed / "scans.parquet"
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(50_000, np.int32)), pa.array(["a" * 2**20]))
    for table in (pa.table({"sha256": words, "split": words}),
                  pa.table({name: pa.nulls(50_000_000) for name in ("sha256", "split", *"abcd")}),
                  pa.table({"sha256": [["a"]], "split": ["test"]})):
        with checksummed_file(scans) as temporary:
            pq.write_table(table.replace_schema_metadata({"embedded_checksum": EMPTY_CHECKSUM}),
                           temporary)
        assert scans.stat().st_size < 10_000_000
        with pytest.raises(ValueError, match="is not a table of a run") as refused:
            read_run(handed)
        one_sentence(refused.value)


# Parameters are data ------------------------------------------------------------------------------

def literal(node: ast.expr):
    """The value of an expression that is data; anything else in it fails."""
    if isinstance(node, ast.Call) and ast.unparse(node) in (
        "float('nan')", "float('inf')", "float('-inf')"):
        return float(node.args[0].value)
    if isinstance(node, ast.List): return [literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {literal(name): literal(value) for name, value in zip(node.keys, node.values)}
    return ast.literal_eval(node)


def as_written(value):
    """Return the value that a notebook would get from papermill, read as data."""
    statement, = ast.parse(PythonTranslator.assign("value", PythonTranslator.translate(value))).body
    assert isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "value"
    return literal(statement.value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        '"; import os #',
        "'''",
        '\\"',
        "\\",
        "\n",
        "${x}",
        "{x}",
        "\u2028",
        "#",
        "null",
        "1e3",
        "0x10",
        "~",
        "!!binary aGk=",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12)
CODE = st.sampled_from(
    [
        b'"; import os #',
        {'"; import os #'},
        frozenset(['"']),
        object(),
        2**70,
        {1: 2},
        {b'"': 1},
        (b'"',),
        slice(1),
        1j,
    ]
)


@given(value=VALUES)
def test_whatever_yaml_can_say_reaches_a_notebook_as_it_is(value):
    text = yaml.safe_dump(value, sort_keys=False)
    if "&id" in text: return
    read = parse_parameters([["value", text]])["value"]
    # "1e300" is text for YAML
    assert repr(read) == repr(yaml.safe_load(text)) == repr(value) or isinstance(value, float)
    assert repr(as_written(read)) == repr(read)


YAML_PARTS = st.sampled_from(
    ["!!binary ", "!!set ", "!!python/name:os.system ", "!!timestamp ", "2001-01-01", "{", "}", "[",
     "]", ": ", "? ", "&a ", "*a", "'", '"', "|", ">", "-", " ", "\n", "<<", "1:30", "x"])


@given(text=TEXTS | st.lists(YAML_PARTS, max_size=12).map("".join))
def test_whatever_is_typed_is_data_or_refused(text):
    read = accepted(parse_parameters, [["value", text]], refuses=(ValueError,))
    if read is not None:
        assert repr(as_written(read["value"])) == repr(read["value"])


@given(value=CODE | st.lists(CODE, min_size=1, max_size=2)
       | st.dictionaries(st.sampled_from("ab"), CODE, min_size=1))
def test_what_papermill_would_write_as_code_is_refused(value):
    with pytest.raises(ValueError) as refused:
        plain_data(value)
    one_sentence(refused.value)


def test_values_that_are_nearly_plain_become_plain():
    given = {"data": Path('/a"b'), "seed": np.int64(3), "shares": (0.5, np.float32(1)),
             "when": date(2024, 5, 1)}
    assert (plain_data(given)
            == {"data": '/a"b', "seed": 3, "shares": [0.5, 1.0], "when": "2024-05-01"}
            == as_written(plain_data(given)))


def test_a_run_gets_its_parameters_as_data(tmp_path, monkeypatch):
    started = []

    def instead(notebook, target, parameters, **options):
        started.append((parameterize_path(target, parameters), parameters))
        raise OSError("nothing is run here")
    monkeypatch.setattr(papermill, "execute_notebook", instead)
    strange = tmp_path / 'a "b" {epochs} {0} {seed.__class__} $HOME'
    with pytest.raises(OSError, match="nothing is run"):
        run_report({"out": strange, "epochs": 3})
    (target, parameters), = started
    assert (target == str(strange / "train.ipynb")
            and parameters == {"out": str(strange), "epochs": 3}
            and as_written(parameters) == parameters)
    for wrong in ({"epochs = 1; import os": 1}, {"import os": 1}, {"__builtins__": 1}, {"": 1},
                  {"data": b"x"}, {"data": {"a"}}, {"mask_fractions": b'"'}):
        with pytest.raises(ValueError) as refused:
            run_report({**wrong, "out": str(tmp_path / "other")}, notebook="segmentation")
        assert "\n" not in str(refused.value)
    assert len(started) == 1 and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "name",
    ["../../x", "../x", "/tmp/x", "{place}/x", "./train", "train.ipynb", "", ".", "00_config",
     "04_config", "index", "x\0", "../nbs/train", "study_*", "experiments/*", "s3://a/b"])
def test_only_the_projects_notebooks_are_run(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "x.ipynb", tmp_path.parent / "x.ipynb"):
        shutil.copy(ROOT / "nbs" / "train.ipynb", place)
    assert run_command([name.format(place=tmp_path)]) == 2
    results = capsys.readouterr().err
    assert results.count("\n") == 1 and "There are train, " in results
    assert "companions, duplicates," in results
    assert not (tmp_path / "runs").exists()


# Runs that are handed over ------------------------------------------------------------------------

def changed(run: Path, place: Path, number: int, name: str, **values) -> Path:
    """A copy of a run in which entries of a JSON file are others; ... takes one away."""
    copy = Path(
        shutil.copytree(run, place / f"{number:02d}", ignore=shutil.ignore_patterns("checkpoint")))
    content = load_json(copy / name) | values
    save_json(copy / name, {key: value for key, value in content.items() if value is not ...})
    return copy


MODELS = [
    {"image_size": 10**9}, {"image_size": -32}, {"image_size": 0}, {"image_size": "32"},
    {"image_size": 32.5}, {"image_size": None}, {"image_size": 1024}, {"image_size": [32]},
    {"encoder": "../../etc/passwd"}, {"encoder": ["autoencoder"]}, {"encoder": "resnet18"},
    {"encoder": {}}, {"classes": []}, {"classes": ["a"] * 4},
    {"classes": [f"c{i}" for i in range(100_000)]}, {"classes": "abcd"}, {"classes": [1, 2, 3, 4]},
    {"classes": ["a", "b", "c", "=1+1"]}, {"classes": ["a", "b", "c", "d\ne"]},
    {"classes": ["a", "b", "c", "x" * 101]}, {"mean": float("nan")}, {"mean": "0"}, {"std": 0},
    {"std": -1.0}, {"std": float("inf")}, {"skull_strip": "/etc/passwd"}, {"closing_radius": 10**9},
    {"denoise_sigma": 1e9}, {"denoise_sigma": float("nan")}, {"otsu_relax": float("inf")},
    {"window_percentiles": [99, 1]}, {"window_percentiles": "x"}, {"crop": "/etc/passwd"},
    {"flip_tta": 3},
    {"decoder": "yes"}, {"decoder": False, "encoder": "resnet18"}, {"cluster_classes": [9] * 4},
    {"cluster_classes": [0]}, {"cluster_classes": "0000"}, {"cluster_classes": [True] * 4},
    {"format": [2]}, {"format": ...}, {"classes": ...}, {"mean": ...}]
RECORDS = [{"temperature": 0}, {"temperature": "1"}, {"temperature": float("inf")},
           {"thresholds": [1.0]}, {"thresholds": "abcd"}, {"thresholds": [None] * 4},
           {"coverage": 2}, {"coverage": None}, {"limit": -1}, {"limit": [1]}, {"slices": "many"},
           {"format": 10**9}, {"format": ...}, {"limit": ...}]


def test_models_of_absurd_description_are_refused(run, tmp_path):
    models = [changed(run, tmp_path, n, "model.json", **values) for n, values in enumerate(MODELS)]
    records = [changed(run, tmp_path, len(models) + n, "prediction.json", **values)
               for n, values in enumerate(RECORDS)]
    for name, content in (("model.json", "[" * 100_000), ("model.json", "[]"),
                          ("prediction.json", "null"), ("model.json", '"\\ud800"'),
                          ("model.json", "9" * 5000)):
        records.append(changed(run, tmp_path, len(models) + len(records), "run.json"))
        plant(records[-1] / name, content.encode())
    results, grown = asked_apart("from brainclust.runs.predictor import Predictor",
                              "Predictor(name, 'cpu')", [run, *models, *records])
    assert results.pop("run").startswith("<")
    for name, response in results.items():
        assert (response.startswith("refused: ") and len(response) < 500 and "json" in response
                or "model.safetensors" in response or "network" in response), (name, response)
    assert grown < 600  # of which the first, whole run takes most


def test_tensors_that_do_not_belong_together_are_refused(run, handed):
    model, reference = (load_file(run / "model.safetensors"),
                        load_file(run / "prediction.safetensors"))
    for file, tensors, changes in (
        ("model.safetensors", model,
         {"network.head.weight": np.zeros((4, 5), np.float32),
          "mixture.variances": -model["mixture.variances"],
          "mixture.means": model["mixture.means"] * np.nan, "mixture.centre": np.zeros(3),
          "mixture.weights": model["mixture.weights"][:2], "mixture.more": np.zeros(3),
          "mixture.components": model["mixture.components"].astype(np.int32),
          "network.more": np.zeros(3), "mixture.l2_normalise": None}),
        ("prediction.safetensors", reference,
         {"rows": -reference["rows"] - 1, "points": reference["points"][:, :1],
          "embeddings": reference["embeddings"][:1], "scale": reference["scale"] * np.nan,
          "spread": None, "rest": np.zeros(0, np.float32),
          "directions": reference["directions"].astype(np.int32),
          "centre": np.zeros(2, np.float32), "more": np.zeros(1)})):
        for name, value in changes.items():
            if name == "mixture.l2_normalise": continue  # has a usual value
            save_tensors(
                handed / file,
                {key: item for key, item in (tensors | {name: value}).items() if item is not None})
            with pytest.raises(ValueError) as refused:
                Predictor(handed, "cpu")
            one_sentence(refused.value)
        shutil.copy(run / file, handed / file)
    with (handed / "model.safetensors").open("ab") as file:
        file.truncate(2**31)
    with pytest.raises(ValueError, match="must have at most"):
        Predictor(handed, "cpu")


def test_what_is_no_file_in_a_run_is_not_waited_for(handed):
    readers = {"model.json": load_model, "model.safetensors": load_model,
               "prediction.json": Predictor, "prediction.safetensors": Predictor,
               "run.json": read_run, "scans.parquet": read_run, "tables/methods.csv": read_run,
               "tables/test_predictions.csv": model_card,
               "checkpoint/state.json": lambda folder: load_checkpoint(
                   fresh_state(), folder / "checkpoint"),
               "labels.csv": lambda folder: read_labels(folder / "labels.csv", CLASSES)}
    for name, reader in readers.items():
        file = handed / name
        kept = file.read_bytes() if file.exists() else None
        for spoil in (lambda: os.mkfifo(file), lambda: file.symlink_to("/dev/zero"), file.mkdir):
            file.unlink(missing_ok=True)
            spoil()
            with time_limit(20), pytest.raises((ValueError, OSError)) as refused:
                reader(handed)
            one_sentence(refused.value)
            if file.is_dir():
                file.rmdir()
        file.unlink(missing_ok=True)
        if kept is not None:
            file.write_bytes(kept)


RUNS = [{"config": []}, {"config": {"preset": 3}}, {"data": None},
        {"data": {"slices": "<b>", "labelled": 1}}, {"results": {"epoch": "x"}},
        {"results": {"epoch": 1, "gain_over_supervised_baseline": [1]}},
        {"results": {"epoch": 1, "calibration_error": "x"}}, {"seconds": {"a": "b"}},
        {"seconds": [1]}, {"config": ...}, {"results": ...}]
CARDS = [{"versions": {}}, {"versions": {"brainclust": 3}}, {"notes": "x"}, {"notes": [3]},
         {"seed": "x"}, {"config": {"preset": "paper", "classes": [3], "data": "x"}}]


def test_absurd_records_are_refused_by_comparison_and_card(run, tmp_path, capsys):
    for number, values in enumerate([*RUNS, *CARDS]):
        folder = changed(run, tmp_path, number, "run.json", **values)
        if values in RUNS:
            assert compare_command([str(folder), str(run)]) == 2
        assert card_command([str(folder)]) == 2
        assert all(
            line.startswith(("brainclust compare: ", "brainclust card: ")) and len(line) < 400
            for line in capsys.readouterr().err.splitlines())
        assert not (folder / "MODEL_CARD.md").exists()
    assert compare_command([str(run), str(changed(run, tmp_path, 99, "run.json"))]) == 0


EVIL = 'x<img src=x onerror="alert(1)">'


def test_what_a_run_calls_its_classes_is_text(handed):
    classes = [EVIL, "b</script><script>alert(1)</script>", "c'\"&lt", "d{{7*7}}|`x`"]
    for name in ("model.json", "run.json"):
        content = load_json(handed / name)
        (content if name == "model.json" else content["config"])["classes"] = classes
        if name == "run.json":
            content["notes"] = [EVIL]
            content["data"]["removed"] = {EVIL: 3}
        save_json(handed / name, content)
    scans = pd.read_parquet(handed / "scans.parquet")
    save_table(handed / "scans.parquet", scans.assign(source=EVIL, plane=EVIL))
    bench = Workbench(handed, device="cpu")
    row = int(np.flatnonzero(scans.split == "train")[0])
    give_label(bench.label_file, scans.path[row], scans.sha256[row], EVIL, EVIL, classes)
    pages = [bench.read(read_slice(scans.path[0]), EVIL), groups_html(bench),
             label_html(bench, row, hint=True), goal_html(bench, 3, EVIL), refusal_html(EVIL),
             model_card(handed)]
    for page in pages:
        assert "<img src=x" not in page and "<script" not in page, page[:3000]
    assert "&lt;img" in pages[1]


def test_the_page_writes_through_no_link(handed, tmp_path):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "kept.txt").write_text("kept")
    for name, target in (("page", elsewhere), ("retrained", elsewhere),
                         ("labels.csv", elsewhere / "kept.txt"),
                         ("retrained/001.log", elsewhere / "kept.txt"), ("page/sent", elsewhere),
                         ("page/slices", elsewhere), ("sources", elsewhere),
                         ("sources/clinic.json", elsewhere / "kept.txt")):
        (handed / name).parent.mkdir(exist_ok=True)
        (handed / name).symlink_to(target)
        with pytest.raises(ValueError, match="got a link, which may lead anywhere"):
            Workbench(handed, device="cpu")
        (handed / name).unlink()
        if (handed / name).parent != handed:
            (handed / name).parent.rmdir()
    assert everything(elsewhere) == {"kept.txt": b"kept"}


def test_the_page_shows_only_the_slices_of_the_run(handed, tmp_path):
    """Paths of other files in a run's tables.

    Nothing of them is shown, whatever the cache beside it holds.
    """
    from starlette.applications import Starlette
    from starlette.testclient import TestClient
    secret = tmp_path / "private" / "secret.png"
    secret.parent.mkdir()
    Image.new("L", (64, 64), 77).save(secret)
    Workbench(handed, device="cpu")  # fills the cache
    scans = pd.read_parquet(handed / "scans.parquet")
    pd.DataFrame([{"path_a": scans.path[0], "path_b": str(secret), "kind": "near", "score": 1,
                   "orientation": "none"}]).to_csv(handed / "tables" / "pairs.csv", index=False)
    vouch(handed)
    save_table(
        handed / "scans.parquet", scans.assign(path=[scans.path[0], str(secret), *scans.path[2:]]))
    bench = Workbench(handed, device="cpu")
    client = TestClient(Starlette(routes=page_routes(bench)))
    assert [
        client.get(f"/page/{name}.png").status_code
        for name in ("original/0", "original/1", "pair/0/a", "pair/0/b")] == [200, 404, 200, 404]
    shown = similar_slices([0, 1], bench.scans, bench.predictor.classes_)
    assert [bool(slice_["picture"]) for slice_ in shown] == [True, False]
    for path, words in (("../" * 20 + "etc/passwd", "etc/passwd"), ("/etc/passwd", "/etc/passwd")):
        save_table(handed / "scans.parquet",
                   scans.assign(path=[path, *scans.path[1:]], sha256=["0" * 64, *scans.sha256[1:]]))
        with pytest.raises(ValueError, match=words) as refused:
            Workbench(handed, device="cpu")
        one_sentence(refused.value)


@pytest.mark.nightly
def test_a_run_that_contradicts_itself_is_not_served(handed):
    scans = pd.read_parquet(handed / "scans.parquet")
    for spoilt in (scans.assign(label=99), scans.head(3), scans.drop(columns="path"),
                   scans.assign(path=3), scans.assign(label="glioma"),
                   scans.drop(columns="true_label")):
        save_table(handed / "scans.parquet", spoilt)
        with pytest.raises(ValueError) as refused:
            Workbench(handed, device="cpu")
        one_sentence(refused.value)
    save_table(handed / "scans.parquet", scans)
    bench = Workbench(handed, device="cpu")
    judged = list((handed / "page").glob("predictions-*.safetensors"))
    # results cached beside the web app are computed again
    for content in (b"x" * 100, (handed / "model.safetensors").read_bytes()):
        for file in judged:
            file.write_bytes(content)
        assert len(Workbench(handed, device="cpu").collection) == len(bench.collection)


def test_a_training_from_the_page_keeps_to_this_machine(tmp_path):
    config = config_record(
        make_config("demo", cache="/elsewhere", devices=4, engine="ray", workers=99, epochs=3))
    kept = training_parameters(config, tmp_path / "data", tmp_path / "out")
    assert (kept["epochs"] == 3 and not {"cache", "devices", "engine", "workers"} & set(kept)
            and kept["data"] == str(tmp_path / "data"))


def test_who_labels_cannot_fill_or_bend_the_table(handed):
    bench = Workbench(handed, device="cpu")
    rows = np.flatnonzero(bench.collection.table.split == "train")
    known = CLASSES[0]
    label_slice(bench, str(rows[0]), "=HYPERLINK(1)\n" + "x" * 10**6, known)
    for row in ("9" * 5000, "-1", "1e3", "\u00b2", "", str(10**8), "x"):
        label_slice(bench, row, "me", known)
    for by in ("", "\n", "===", "\0"):
        label_slice(bench, str(rows[1]), by, known)
    table = read_labels(bench.label_file, CLASSES)
    assert (len(table) == 1 and table.by[0] == ("HYPERLINK(1)" + "x" * 100)[: len(table.by[0])]
            and len(table.by[0]) <= 60)
    assert (undo(bench, "=HYPERLINK(1)\n" + "x" * 10**6) == rows[0]
            and len(read_labels(bench.label_file, CLASSES)) == 0)


def test_an_exported_file_reads_no_other(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "secret.bin").write_bytes(bytes(range(256)) * 4)
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[1024],
                              data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", "../secret.bin"), ("length", "1024")):
        tensor.external_data.add(key=key, value=value)
    node = onnx.helper.make_node("Identity", ["w"], ["embeddings"])
    graph = onnx.helper.make_graph(
        [node], "g", [],
        [onnx.helper.make_tensor_value_info("embeddings", onnx.TensorProto.UINT8, [1024])],
        [tensor])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "run.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="refers to other files"):
        load_exported(tmp_path / "in" / "run.onnx")
    del graph.initializer[:]
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1024, np.uint8), "w"))
    good = {"format": 1, "classes": ["a", "b"], "image_size": 32,
            "preparation": {"image_size": 32, "skull_strip": "none"}}
    for metadata in (
        "[" * 100_000, "[]", "{}", "null",
        *(json.dumps(good | bad) for bad in ({"image_size": 10**9}, {"classes": 3},
                                             {"preparation": {"skull_strip": "../x"}},
                                             {"preparation": {"closing_radius": 10**9}}))):
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        onnx.helper.set_model_props(model, {"brainclust": metadata})
        (tmp_path / "run.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ValueError) as refused:
            load_exported(tmp_path / "run.onnx")
        one_sentence(refused.value)
