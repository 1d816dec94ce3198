"""What a stranger hands over (a file, a folder, an archive, a model, a run, a parameter, a request) is data: it runs no code, reaches no other file, and takes no more memory or time than it may."""
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian
from test_formats import cheng_bytes, dicom_bytes

from brainclust.data import UnreadableSlice, decode_slice, load_nifti, read_mask, read_scan_table

# Small processes: what is asked of them must be answered within these bounds, or they fail.
BOUNDED = """
import json, sys, time
from pathlib import Path
memory = lambda name: int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024
{imports}
if sys.platform == "linux":
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = memory("VmRSS")
said = {{}}
for name in sys.argv[1:]:
    try: said[name] = str({call})[:200]
    except ({errors}) as error: said[name] = "refused: " + str(error)
print(json.dumps({{"said": said, "grown": memory("VmHWM") - before if sys.platform == "linux" else 0}}))
"""


def asked_apart(imports: str, call: str, names: list, errors: str = "ValueError, OSError", seconds: int = 120) -> tuple[dict[str, str], float]:
    """Evaluate `call`, an expression of `name`, for each name in one process of its own; what it said, and the megabytes it grew by."""
    program = BOUNDED.format(imports=imports, call=call, errors=errors)
    done = subprocess.run([sys.executable, "-c", program, *map(str, names)], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    return {Path(name).name: said for name, said in answer["said"].items()}, answer["grown"]


def deflated_zeros(megabytes: int, start: bytes = b"", wbits: int = 15) -> bytes:
    """A deflated stream that begins with `start` and goes on with zeros."""
    packer = zlib.compressobj(1, wbits=wbits)
    return packer.compress(start) + b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


# Pictures, volumes and matrices ---------------------------------------------------------------------------------------

def matlab_element(kind: int, content: bytes, order: str = "<") -> bytes:
    """An element of a MATLAB 5 file."""
    return struct.pack(f"{order}2I", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab_array(kind: int, shape: tuple, name: bytes = b"", rest: bytes = b"", order: str = "<") -> bytes:
    """An array of a MATLAB 5 file as one element: 1 is a cell array, 2 a struct, 6 numbers."""
    parts = (6, struct.pack(f"{order}2I", kind, 0)), (5, struct.pack(f"{order}{len(shape)}i", *shape)), (1, name)
    return matlab_element(14, b"".join(matlab_element(*part, order) for part in parts) + rest, order)


def matlab_file(*elements: bytes, order: str = "<") -> bytes:
    """A MATLAB 5 file; `order` is that of its bytes."""
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x100) + {"<": b"IM", ">": b"MI"}[order] + b"".join(elements)


def field_names(*names: bytes, order: str = "<") -> bytes:
    """The part of a struct that names its fields."""
    return matlab_element(5, struct.pack(f"{order}i", 8), order) + matlab_element(1, b"".join(name.ljust(8, b"\0") for name in names), order)


def chained_tiff(pages: int) -> bytes:
    """A TIFF file whose pages all show the same pixels: each costs its reader a hundred bytes."""
    tags = [(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (273, 8), (278, 64), (279, 4096)]
    page = lambda following: struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + struct.pack("<I", following)
    start, size = 8 + 4096, len(page(0))
    return b"II*\0" + struct.pack("<I", start) + bytes(4096) + b"".join(page(start + size * (n + 1) if n < pages - 1 else 0) for n in range(pages))


def lying_dicom() -> bytes:
    """A deflated DICOM file that states a wrong length of its header, where a harmless stream waits for whoever believes it."""
    honest = dicom_bytes(np.zeros((8, 8), np.uint8), DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(honest[140:144], "little")
    content = bytearray(honest[:start] + deflated_zeros(300, wbits=-15))
    content[140:144] = (len(content) - 144).to_bytes(4, "little")
    return bytes(content) + deflated_zeros(0, b"harmless", -15)


def many_frames() -> bytes:
    """A DICOM file of one frame that claims a million."""
    import pydicom
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
    return deflated_zeros(300, header.binaryblock + b"\1\0\0\0" + struct.pack("<2i", 1_100_000_000, 6), 31)


def greedy_files() -> dict[str, tuple[bytes, str]]:
    """Small files that would take gigabytes or hours, and the reason each must be given."""
    cells, inner = 10_000 * 10_000, matlab_array(2, (20_000, 30_000))
    big_endian = struct.pack(">2I", 14, 2**30) + matlab_array(2, (1, 1), b"cjdata", order=">")[8:] + field_names(b"image", order=">")
    huge = deflated_zeros(300, big_endian)
    with h5py.File(patient := io.BytesIO(), "w") as file:
        file["cjdata/image"], file["cjdata/label"] = np.zeros((64, 64), np.int16), np.array([[1.]])
        file.create_dataset("cjdata/PID", (8192, 8192), "i2", chunks=(1024, 1024), compression="gzip", fillvalue=65)
    return {"pages.tif": (chained_tiff(20_000), "several pages"), "lying.dcm": (lying_dicom(), "too large"), "frames.dcm": (many_frames(), "too large: 1,000,000 frames"),
            "struct.mat": (matlab_file(matlab_array(2, (cells, 10), b"cjdata", field_names(b"image"))), "too large: the file claims more than 10,000 arrays"),
            "cells.mat": (matlab_file(matlab_array(1, (10_000, 10_000), b"cjdata")), "too large"),
            "inner.mat": (matlab_file(matlab_array(2, (1, 1), b"cjdata", field_names(b"image") + inner)), "too large"),
            "packed.mat": (matlab_file(matlab_element(15, zlib.compress(matlab_array(1, (-10_000, -10_000), b"cjdata")))), "too large"),
            "endian.mat": (matlab_file(struct.pack(">2I", 15, len(huge)) + huge, order=">"), "too large: the file inflates"),
            "patient.mat": (patient.getvalue(), "too large: cjdata.PID"), "extension.nii.gz": (large_extension(), "cannot be decoded: the header places the voxels outside")}


def test_greedy_files_are_refused_in_little_memory_and_time(tmp_path):
    files = greedy_files()
    for name, (content, _) in files.items(): (tmp_path / name).write_bytes(content)
    said, grown = asked_apart("from brainclust.data import inspect_file", f"inspect_file(Path(name), Path({str(tmp_path / 'cache')!r}))[0]['reason']", [tmp_path / name for name in files])
    for name, (_, reason) in files.items(): assert said[name].startswith(reason), (name, said[name])
    assert grown < 150  # MB; one of these would be hundreds, or thousands
    for name in ("frames.dcm", "extension.nii.gz"):
        from brainclust.reading import open_scan
        with pytest.raises(UnreadableSlice): open_scan(tmp_path / name)


def test_frames_that_are_not_there_are_not_prepared_for(tmp_path):
    (tmp_path / "frames.dcm").write_bytes(claimed_frames(65_000))
    said, grown = asked_apart("from brainclust.data import inspect_file", f"inspect_file(Path(name), Path({str(tmp_path / 'cache')!r}))[0]['reason']", [tmp_path / "frames.dcm"])
    assert said["frames.dcm"].startswith(("truncated", "cannot be decoded")) and grown < 100


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
                place = content.index(struct.pack("<HHI", tag, 4 if struct.pack("<HH", tag, 4) in content else 3, 1)) + 8
                content[place:place + 4] = struct.pack("<I", 60_000)
        elif kind == "BMP": content[18:26] = struct.pack("<ii", 60_000, 60_000)
        elif kind == "WEBP":
            place = content.index(b"\x9d\x01\x2a") + 3
            content[place:place + 4] = struct.pack("<HH", 16_383, 16_383)
        else: content[6:10] = struct.pack("<HH", 60_000, 60_000)
        (tmp_path / f"{kind}.png").write_bytes(content)
    names = sorted(tmp_path.iterdir())
    for reader in ("read_slice(name)", "read_mask(name)"):
        said, grown = asked_apart("from brainclust.data import read_mask, read_slice", reader, names)
        for name, answer in said.items(): assert answer.startswith("refused: ") and ("not an image" in answer if name == "GIF.png" else "too large" in answer or "cannot be decoded" in answer), (name, answer)
        assert grown < 100


def test_no_picture_starts_a_program(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript; also behind the suffix of a picture, or in the free first bytes of a DICOM file."""
    trap, programs = tmp_path / "trap", tmp_path / "programs"
    programs.mkdir()
    for name in ("gs", "gswin64c", "gswin32c"):
        (programs / name).write_text(f"#!/bin/sh\ntouch '{trap}'\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
    dicom = bytearray(dicom_bytes(np.stack([np.arange(4096, dtype=np.uint8).reshape(64, 64)] * 3, -1), photometric="RGB"))
    dicom[:len(postscript)] = postscript
    scans = tmp_path / "scans" / "glioma"
    scans.mkdir(parents=True)
    (scans / "a.png").write_bytes(postscript)
    (scans / "b.dcm").write_bytes(dicom)
    from brainclust.audit import picture_data
    table, unreadable = read_scan_table(tmp_path / "scans", cache_folder=tmp_path / "cache")
    assert [Path(path).name for path in table["path"]] == ["b.dcm"] and unreadable["reason"][0].startswith("not an image")
    assert picture_data(str(scans / "b.dcm"), "RGB").startswith("data:image/jpeg")
    with pytest.raises(UnreadableSlice, match="not an image"): read_mask(scans / "a.png")
    assert not trap.exists()


def test_a_matlab_file_reads_no_other_file(tmp_path):
    image = np.arange(4096, dtype=np.int16).reshape(64, 64)
    (tmp_path / "other.mat").write_bytes(cheng_bytes(image, image > 9))
    (tmp_path / "secret.raw").write_bytes(bytes(range(256)) * 32)
    def linked(path: Path, link) -> Path:
        with h5py.File(path, "w") as file: link(file)
        return path
    def external(file) -> None:
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
        file["cjdata"].create_dataset("image", (64, 64), "i2", external=[(str(tmp_path / "secret.raw"), 0, 8192)])
    def virtual(file) -> None:
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
        layout = h5py.VirtualLayout((64, 64), "i2")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.mat"), "cjdata/image", (64, 64))
        file["cjdata"].create_virtual_dataset("image", layout)
    def within(file) -> None:
        file["cjdata/PID"], file["cjdata/label"] = np.array([[65]]), np.array([[1.]])
        file["cjdata/image"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/cjdata/image")
    def whole(file) -> None: file["cjdata"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/cjdata")
    for link in (external, virtual, within, whole):
        with pytest.raises(UnreadableSlice): decode_slice(linked(tmp_path / "link.mat", link).read_bytes(), ".mat")


def test_a_patient_is_text_that_every_table_can_hold():
    image = np.arange(4096, dtype=np.int16).reshape(64, 64)
    for patient in ("\ud800", "a\nb", "\0"):
        with pytest.raises(UnreadableSlice, match="unknown patient"): decode_slice(cheng_bytes(image, image > 9, patient), ".mat")
    assert decode_slice(cheng_bytes(image, image > 9, "MR042D"), ".mat").facts["patient"] == "MR042D"


def test_an_extension_is_passed_over(tmp_path):
    volume = np.arange(16**3, dtype=np.uint16).reshape(16, 16, 16)
    image = nibabel.Nifti1Image(volume, np.diag([2., 3, 4, 1]))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a note" * 1000))
    nibabel.save(image, tmp_path / "a.nii.gz")
    voxels, affine, _ = load_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(voxels, volume)
    np.testing.assert_array_equal(affine, image.affine)
