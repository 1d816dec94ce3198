"""Data that are absent, files that are not images, and results among the data."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from assertions import one_sentence
from commands import predict_command, run_command
from examples import small_files, small_predictor
from hypothesis import given, strategies as st
from PIL import Image

from brainclust.core.config import make_config
from brainclust.core.files import save_json
from brainclust.data import scan_files, scan_table, slices as slices_module
from brainclust.data.images import UnreadableSlice
from brainclust.imaging import map_files
from brainclust.runs import execute, prediction_files, run as run_module

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
PAGE = b"<!DOCTYPE html>\n<html><body>404</body></html>"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.dcm", "a.mat", "a.tif", "a.nii.gz", "a.nii"])
@pytest.mark.parametrize(("content", "kind"), [
    (POINTER, "Git LFS pointer"), (PAGE, "web page"),
    (b"\xef\xbb\xbf \n<HTML lang=en>", "web page"),
    (b"/annex/objects/MD5E-s7--0.png\n", "git-annex pointer"),
    (b"../.git/annex/objects/x/MD5E-s7--0.png", "git-annex pointer"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    (b'{"message": "not found"}', "JSON")])
def test_text_in_place_of_an_image_is_called_by_its_name(name, content, kind, tmp_path):
    """Say that a file is a pointer or a web page, whatever its suffix."""
    (tmp_path / name).write_bytes(content + b" " * 400)
    (fact,) = scan_files.inspect_file(tmp_path / name, tmp_path / "cache")
    assert fact["reason"].startswith(f"{kind}: ")
    with pytest.raises(UnreadableSlice, match=kind):
        slices_module.check_not_text(content)


@given(head=st.binary(max_size=200))
def test_only_text_is_refused_by_its_beginning(head):
    """Refuse no bytes that begin like an image."""
    for mark in (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\x00", bytes(8)):
        slices_module.check_not_text(mark + head)
    for content in small_files().values():
        slices_module.check_not_text(content)


@pytest.mark.parametrize("out", ["", "runs/first", "glioma/out", "../scans/out"])
def test_results_inside_the_data_are_refused(out, tmp_path):
    """Refuse a run directory inside the data, by any path, before it is made."""
    (tmp_path / "scans/glioma").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for data in (tmp_path / "scans", tmp_path / "link"):
        if data.name == "link":
            data.symlink_to(tmp_path / "scans")
        with pytest.raises(ValueError, match="out must lie outside") as error:
            run_module.check_data(str(data), tmp_path / "scans" / out)
        one_sentence(error.value)
        with pytest.raises(ValueError, match="out must lie outside"):
            run_module.Run(make_config(data=str(data), out=str(tmp_path / "scans" / out)))
        with pytest.raises(ValueError, match="out must lie outside"):
            execute.free_folder("train", {"data": str(data), "out": str(tmp_path / "scans" / out)})
    (tmp_path / "link").unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_results_beside_or_around_the_data_are_accepted(tmp_path):
    """Accept results beside the data, around them, and in a hidden folder of them."""
    (tmp_path / "run/scans").mkdir(parents=True)
    for out in ("run", "other", "run/scans2", "run/scans/.runs/first"):
        run_module.check_data(str(tmp_path / "run/scans"), tmp_path / out)
    with pytest.raises(ValueError, match="cache must lie outside"):
        run_module.check_data(str(tmp_path / "run/scans"), tmp_path / "out",
                              tmp_path / "run/scans/cache")


@pytest.mark.parametrize("data", ["scnas", "~/no such folder", "Phantom", "kagle", "scans/1.png"])
def test_data_that_are_absent_leave_no_folder_behind(data, tmp_path, monkeypatch, capsys):
    """End with status 2 and one sentence, and leave `out` free for the right path."""
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    Path("scans/1.png").write_bytes(b"x")
    assert run_command(["-p", "data", data, "-p", "out", "results"]) == 2
    assert "Correct the path" in (said := capsys.readouterr().err) or "must be a folder" in said
    assert not Path("results").exists()
    with pytest.raises(OSError, match="data must be"):
        run_module.Run(make_config(data=data, out="results"))
    assert not Path("results").exists()


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    """Read `~` as the home folder, in the data of a run and of a scan table."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "scans").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "scans/1.png")
    run_module.check_data("~/scans", tmp_path / "out")
    table, _ = scan_table.read_scan_table("~/scans", cache_folder=tmp_path / "cache")
    assert list(table["path"]) == [str(tmp_path / "scans/1.png")]


def test_the_notes_of_a_run_reach_the_terminal(tmp_path):
    """Read the notes of a finished run, and none of a run without a record."""
    assert execute.run_notes(tmp_path) == []
    save_json(tmp_path / "run.json", {"notes": ["No slice has a label."]})
    assert execute.run_notes(tmp_path) == ["No slice has a label."]


def test_masks_of_a_folder_are_not_predicted(tmp_path):
    """List masks, maps and system folders among the files that are left out."""
    for name in ("images/7.png", "labels/7.png", "#recycle/7.png", "maps/7-00ff00ff_cam.png",
                 "maps/v-00ff00ff_cam.nii.gz", "maps/s-00ff00ff-2_mask.dcm"):
        (tmp_path / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(tmp_path / "scans" / name, "png")
    listed = scan_files.list_scan_files(tmp_path / "scans")
    reasons = scan_files.refusals(tmp_path / "scans", listed)
    assert {f.parts[0] for f, reason in reasons.items() if not reason} == {"images"}
    read, left_out = prediction_files.list_inputs([tmp_path / "scans"])
    assert read == [tmp_path / "scans/images/7.png"]
    assert len(left_out) == 5


def test_maps_inside_the_scans_are_refused(tmp_path):
    """Refuse maps in a folder that is read, and accept them beside it."""
    (tmp_path / "scans").mkdir()
    map_files.check_maps(tmp_path / "maps", [tmp_path / "scans"])
    map_files.check_maps(None, [tmp_path])
    for maps in (tmp_path / "scans/maps", tmp_path / "scans"):
        with pytest.raises(ValueError, match="must lie outside"):
            map_files.check_maps(maps, [tmp_path / "scans"])


@pytest.mark.parametrize("content", [POINTER, PAGE, b"not an image", b""])
def test_a_prediction_of_nothing_ends_with_status_1(content, tmp_path, capsys):
    """End with status 1 if no file could be read, and list the files with their reasons."""
    (tmp_path / "a.png").write_bytes(content)
    made = small_predictor()  # it needs the true class
    with patch("brainclust.runs.predictor.Predictor", lambda *_, **__: made):
        status = predict_command(
            ["run", str(tmp_path / "a.png"), "--out", str(tmp_path / "out.csv")])
    assert status == 1
    assert "0 slices" in capsys.readouterr().out
    assert (tmp_path / "out_unreadable.csv").exists()


def test_masks_by_content_keep_reasons_of_other_files():
    """Leave the reasons of unreadable files as they are."""
    facts = [[{"few_valued": False}], [{"few_valued": True}], [{"reason": "truncated: x"}], [{}]]
    kept = scan_table.without_masks(["a/1.png", "b/1.png", "b/2.png", "b/3.png"], facts)
    reasons = [slices[0].get("reason", "").split(":")[0] for slices in kept]
    assert reasons == ["", "segmentation", "truncated", ""]
