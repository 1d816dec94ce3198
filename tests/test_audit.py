"""`brainclust audit` as its users run it: a process, an exit status, files."""
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import audit_command
from PIL import Image, ImageOps


def audit(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    """Run the command in a directory, in this process, because starting thirty takes a minute."""
    with chdir(cwd), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = audit_command(arguments)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def last_line(done: subprocess.CompletedProcess) -> str:
    """Return what the command complains about."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def texture(seed: int, size: int = 48) -> Image.Image:
    """Return a coloured random texture, coarse enough to survive JPEG and resizing."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def pets(tmp_path) -> Path:
    """Twenty different pictures of cats and dogs in three splits."""
    folder = tmp_path / "pets"
    for i in range(20):
        path = (folder / ("train", "train", "train", "val", "test")[i % 5]
                / ("cats", "dogs")[i // 10] / f"{i:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        texture(i).save(path)
    return folder


def rows(path: Path) -> list[list[str]]:
    """Return a CSV as text, its header first."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return [list(table), *table.values.tolist()]


def test_the_command_as_a_process(pets, tmp_path):
    run = lambda *arguments: subprocess.run(
        [sys.executable, "-m", "brainclust", "audit", *arguments], cwd=tmp_path,
        capture_output=True, text=True)
    assert audit("pets", "--fail-on", "duplicate", cwd=tmp_path).returncode == 0
    shutil.copy(pets / "train/cats/00.png", pets / "test/cats/leak.png")
    failed = run("pets", "--fail-on", "leak")
    assert (failed.returncode, last_line(failed)) == (
        1, "brainclust audit: failed on leak (1 test image with a duplicate in train).")
    wrong = audit("cats", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (
        2, 1) and "does not exist" in wrong.stderr


def test_pictures_without_flaws(pets, tmp_path):
    done = audit("pets", "--fail-on", "leak,duplicate,conflict", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "audit-pets"  # the default
    assert (len(rows(out / "pairs.csv")) == len(rows(out / "conflicts.csv"))
            == len(rows(out / "unreadable.csv")) == 1)
    assert len(rows(out / "keep.csv")) == 21
    assert "No image of test has a duplicate in train." in done.stdout
    summary = json.loads((out / "summary.json").read_text())
    assert summary["classes"] == ["cats", "dogs"] and summary["splits"] == {
        "train": 12, "val": 4, "test": 4}


def test_every_planted_flaw_is_in_its_table(pets, tmp_path):
    shutil.copy(pets / "train/cats/00.png", pets / "test/cats/leak.png")
    texture(1).save(pets / "train/cats/pixels.bmp")
    ImageOps.mirror(texture(2)).save(pets / "val/cats/mirrored.png")
    texture(10).resize((40, 40)).save(pets / "test/dogs/again.jpg", quality=85)
    shutil.copy(pets / "train/dogs/11.png", pets / "train/cats/is a dog.png")
    (pets / "test/dogs/cut.png").write_bytes((pets / "test/dogs/14.png").read_bytes()[:200])
    (pets / "train/read me.txt").write_text("pictures of pets")
    done = audit(
        "pets", "--out", "results/first", "--fail-on", "leak", "--fail-on", "conflict", cwd=tmp_path
    )
    assert done.returncode == 1
    assert last_line(done) == (
        "brainclust audit: failed on leak (2 test images with a duplicate in train, 1 val image "
        "with a duplicate in train) and conflict (2 images whose duplicates have another class).")
    out = tmp_path / "results/first"
    header, *pairs = rows(out / "pairs.csv")
    assert header[:4] == ["path_a", "path_b", "kind", "score"]
    assert sorted((*sorted(p[:2]), p[2]) for p in pairs) == sorted(
        [("test/cats/leak.png", "train/cats/00.png", "file"),
         ("train/cats/is a dog.png", "train/dogs/11.png", "file"),
         ("train/cats/01.png", "train/cats/pixels.bmp", "pixels"),
         ("train/cats/02.png", "val/cats/mirrored.png", "near"),
         ("test/dogs/again.jpg", "train/dogs/10.png", "near")])
    scores = [float(p[3]) for p in pairs]
    assert scores[:3] == [1, 1, 1] and all(.99 <= score <= 1.000001 for score in scores)
    assert [sorted(r[:1] + r[1:2]) for r in rows(out / "conflicts.csv")[1:]] == [
        ["train/cats/is a dog.png", "train/dogs/11.png"]]
    kept = {r[0] for r in rows(out / "keep.csv")[1:]}
    assert {p.relative_to(pets).as_posix() for p in pets.rglob("*.*")} - kept == {
        "train/cats/00.png",
        "train/cats/pixels.bmp",
        "train/cats/02.png",
        "train/dogs/10.png",  # their duplicates stay
        "train/dogs/11.png",
        "train/cats/is a dog.png",
        "test/dogs/cut.png",
        "train/read me.txt",
    }
    assert {r[0]: r[1].split(":")[0] for r in rows(out / "unreadable.csv")[1:]} == {
        "test/dogs/cut.png": "truncated", "train/read me.txt": "suffix not read"}
    leaks = pd.DataFrame(json.loads((out / "summary.json").read_text())["leaks"]).set_index(
        ["held_out", "other", "class_name"])
    counts = ["images", "exact", "near", "mirrored"]
    assert leaks.loc[("test", "train", "cats"), counts].tolist() == [3, 1, 0, 0]
    assert leaks.loc[("test", "train", "dogs"), counts].tolist() == [3, 0, 1, 0]
    assert leaks.loc[("val", "train", "(all)"), counts].tolist() == [5, 0, 0, 1]
    assert leaks.loc[("test", "val", "(all)"), "leaked"] == 0


@pytest.mark.parametrize("condition", ["leak", "duplicate", "conflict"])
def test_each_condition_fails_for_its_own_reason_only(pets, tmp_path, condition):
    target = {"leak": "test/cats", "duplicate": "train/cats", "conflict": "train/dogs"}[condition]
    shutil.copy(pets / "train/cats/00.png", pets / target / "copy.png")
    done = audit("pets", "--fail-on", "leak,duplicate,conflict", cwd=tmp_path)
    failed = {name for name in ("leak", "duplicate", "conflict")
              if re.search(rf"(failed on|,|and) {name} \(", last_line(done))}
    assert done.returncode == 1 and failed == {condition, "duplicate"}
    if condition == "duplicate":  # what is not asked for, and findings alone, do not fail
        assert audit("pets", "--fail-on", "leak,conflict", cwd=tmp_path).returncode == 0
        assert audit("pets", cwd=tmp_path).returncode == 0


class Page(HTMLParser):
    """Collect the tags, the active attributes and the text that a browser would see."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags = set()
        self.active = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8", errors="replace"))

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.active += [v or "" for k, v in attributes
                        if k in ("src", "href", "srcset", "action", "data") or k.startswith("on")]

    def handle_data(self, text):
        self.text += text


def test_names_of_files_and_folders_cannot_become_markup(pets, tmp_path):
    name = "<img src=x onerror=alert(1)>\"'&.png"
    nasty = pets / "train" / "<script>alert(2)<%2Fscript>"
    nasty.mkdir()
    shutil.copy(pets / "train/cats/00.png", nasty / name)
    shutil.copy(pets / "train/cats/00.png", pets / "test" / "cats" / "{{ 7 * 7 }}.png")
    (nasty / "<b>broken.png").write_text("no image")
    pets.rename(tmp_path / "<i>pets & more")
    assert audit("<i>pets & more", "--out", "out", cwd=tmp_path).returncode == 0
    page = Page(tmp_path / "out" / "report.html")
    assert not page.tags & {"script", "i", "iframe", "object", "embed", "link", "form", "base"}
    assert page.active and all(a.startswith("data:image/jpeg;base64,") for a in page.active)
    for text in (name, "{{ 7 * 7 }}.png", "<b>broken.png", "<i>pets & more", nasty.name):
        assert text in page.text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_unicode_are_reported(pets, tmp_path):
    shutil.copy(pets / "train/cats/00.png", pets / "test/cats" / os.fsdecode(b"caf\xe9\n.png"))
    done = audit("pets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "audit-pets" / "unreadable.csv")[1:] == [
        ["test/cats/caf\\udce9\n.png", "name not Unicode: rename the file"]]
    pets.rename(tmp_path / os.fsdecode(b"p\xe9ts"))
    done = audit(os.fsdecode(b"p\xe9ts"), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2 and "name not Unicode" in last_line(done)


def test_names_with_mask(pets, tmp_path):
    for path in sorted(pets.rglob("*.png")):
        path.rename(path.with_name(f"with_mask_{path.name}"))  # people with face masks
    assert audit("pets", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "audit-pets" / "summary.json").read_text())["images"] == 20
    # now the others lie beside an image, as its segmentations would
    texture(99).save(pets / "train/cats/scan.png")
    assert audit("pets", cwd=tmp_path).returncode == 0
    left_out = rows(tmp_path / "audit-pets" / "unreadable.csv")[1:]
    assert len(left_out) == 6 and all(
        name.startswith("train/cats/") and reason.startswith("segmentation")
        for name, reason in left_out)


def test_other_layouts(pets, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in pets.rglob("*.png"):
        shutil.copy(path, flat / path.name)
    shutil.copy(flat / "00.png", flat / "copy.png")
    assert audit("flat", "--fail-on", "leak,conflict", cwd=tmp_path).returncode == 0
    assert rows(tmp_path / "audit-flat" / "keep.csv")[1] == ["00.png", "", ""]
    labels = [
        f"{p.name},{'cat' if p.name < '10' else 'dog'},{'holdout' if p.name < '05' else 'train'}"
        for p in sorted(flat.iterdir())]
    (flat / "labels.csv").write_text("path,label,split\n" + "\n".join(labels))
    # copy.png is a dog in train
    done = audit("flat", "--fail-on", "leak", "--fail-on", "conflict", cwd=tmp_path)
    assert (done.returncode == 1 and "1 holdout image with a duplicate in train" in last_line(done)
            and "conflict (2 images" in last_line(done))
    shutil.rmtree(pets / "val")
    for split in ("train", "test"):  # classes outside, splits inside
        for name in ("cats", "dogs"):
            shutil.copytree(pets / split / name, tmp_path / "inside" / name / split)
    assert audit("inside", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "audit-inside" / "summary.json").read_text())["splits"] == {
        "train": 12, "test": 4}
    done = audit("pets", "--no-classes", cwd=tmp_path)
    assert json.loads((tmp_path / "audit-pets" / "summary.json").read_text())["classes"] == []


def test_a_volume_in_two_splits(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for name, seed in (("train/a/1.nii.gz", 0), ("train/a/2.nii.gz", 1), ("test/a/3.nii.gz", 0)):
        (tmp_path / "volumes" / name).parent.mkdir(parents=True, exist_ok=True)
        voxels = np.stack(
            [np.asarray(texture(5 * seed + i).convert("L")) for i in range(4)], axis=-1)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "volumes" / name)
    assert audit("volumes", cwd=tmp_path).returncode == 0
    pairs = rows(tmp_path / "audit-volumes" / "pairs.csv")[1:]
    assert [(*sorted(p[:2]), p[2]) for p in sorted(pairs)] == [
        (f"test/a/3.nii.gz#{i}", f"train/a/1.nii.gz#{i}", "file") for i in range(4)]
    assert len(rows(tmp_path / "audit-volumes" / "keep.csv")) == 1 + 8


def test_wrong_use_ends_with_status_2_and_one_sentence(pets, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "summary.json").write_text("{}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    before = {p for p in tmp_path.rglob("*")}
    for arguments, words in (
        (["absent"], "does not exist"), (["pets/train/cats/00.png"], "got a file"),
        (["empty"], "must hold images that end in"),
        (["broken"], "must hold a readable image; none of its 1 files is"),
        (["pets", "--out", "pets/audit"], "must lie outside of"),
        (["pets", "--out", "theirs"], "must be empty or hold an earlier audit"),
        (["pets", "--out", "."], "must be empty or hold an earlier audit"),
        (["pets", "--threshold", "1.5"], "'1.5' must be a number between 0 and 1"),
        (["pets", "--threshold", "x"], "'x' must be a number between 0 and 1"),
        (["pets", "--fail-on", "leak,blur"], "'blur' must be one of leak, duplicate, conflict"),
        (["pets", "--workers", "0"], "whole number"), ([], "FOLDER")):
        done = audit(*arguments, cwd=tmp_path)
        assert done.returncode == 2, (arguments, done.stderr)
        assert words in last_line(done), (arguments, done.stderr)
    assert {p for p in tmp_path.rglob("*")} == before
    done = audit(".", cwd=pets)  # the default output would lie inside
    assert done.returncode == 2 and "Give --out another folder" in last_line(done)


def test_a_second_audit_replaces_the_first_and_leaves_notes_alone(pets, tmp_path):
    audit("pets", cwd=tmp_path)
    out = tmp_path / "audit-pets"
    (out / "my notes.txt").write_text("look at 07")
    before = (out / "pairs.csv").read_bytes()
    shutil.copy(pets / "train/cats/00.png", pets / "test/cats/leak.png")
    assert audit("pets", cwd=tmp_path).returncode == 0
    assert (out / "pairs.csv").read_bytes() != before and (
        out / "my notes.txt").read_text() == "look at 07"
    assert sorted(p.name for p in out.iterdir()) == [
        "conflicts.csv", "keep.csv", "my notes.txt", "pairs.csv", "report.html", "summary.json",
        "unreadable.csv"]


def test_pictures_in_the_page_are_bounded(tmp_path):
    folder = tmp_path / "many"
    for split in ("train", "test"):
        for name in "ab":
            (folder / split / name).mkdir(parents=True)
            for i in range(40):
                texture(i + 100 * (name == "b")).save(folder / split / name / f"{i}.png")
    assert audit("many", cwd=tmp_path).returncode == 0
    page = Page(tmp_path / "audit-many" / "report.html")
    assert len(page.active) == 2 * 24 and "Shown are 24 of 80 pairs" in " ".join(page.text.split())
    assert (tmp_path / "audit-many" / "report.html").stat().st_size < 1_000_000


def test_the_command_starts_without_torch(tmp_path):
    code = "import sys, brainclust.data.audit_report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
