"""Properties of brainclust.data.dicom_series: the slices of a series are one volume."""
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from test_formats import dicom_bytes, write

from brainclust.data import dicom_series, scan_files, scan_table
from brainclust.data.slices import read_slice

BALL = np.hypot(*np.mgrid[-1:1:32j, -1:1:32j])
RADII = [0, 0, .5, .8, .6, 0]


def read_scans(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the folder `scans`, with a cache beside it."""
    return scan_table.read_scan_table(folder / "scans", cache_folder=folder / "cache")


def write_series(folder: Path, radii=RADII, order="position", level=900, **tags) -> list[Path]:
    """Write one file per slice, brighter where the head is larger, named against their order."""
    rng = np.random.default_rng(0)
    paths = []
    for place, radius in enumerate(radii):
        stored = rng.integers(0, 20, BALL.shape) + (BALL < radius) * level * radius
        own = {"ImagePositionPatient": [0, 0, 5 * place], "InstanceNumber": len(radii) - place}
        if order == "number":
            own = {"InstanceNumber": place + 1}
        if order == "name":
            own = {}
        name = f"{place if order == 'name' else 99 - place}.dcm"
        paths.append(write(folder / name, dicom_bytes(
            stored.astype(np.uint16), bits=12, SeriesInstanceUID="1.2.3", PatientID="p",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **own, **tags)))
    return paths


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("order", ["position", "number", "name"])
def test_air_at_the_ends_of_a_series_is_left_out(tmp_path, order, windowed):
    """Leave out slices of noise at both ends, in whatever way the series is ordered."""
    tags = {"WindowCenter": 400, "WindowWidth": 800} if windowed else {}
    paths = write_series(tmp_path / "scans", order=order, **tags)
    table, left_out = read_scans(tmp_path)
    assert set(left_out["path"]) == {str(paths[i]) for i in (0, 1, 5)}
    assert set(left_out["reason"]) == {dicom_series.AIR_REASON}
    files = table["path"] if windowed else table["volume"]
    assert set(files) == {str(paths[i]) for i in (2, 3, 4)}
    assert set(table["group"]) == {"p"}


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_the_slices_of_a_series_keep_their_relation(tmp_path, photometric):
    """Stretch all slices of a series by common limits."""
    radii = [.2, .6, .8, .6]
    dark = photometric == "MONOCHROME1"
    folder = tmp_path / "scans"
    for place, radius in enumerate(radii):
        stored = ((BALL < radius) * 1000 * radius).astype(np.uint16)
        write(folder / f"{place}.dcm", dicom_bytes(
            4095 - stored if dark else stored, bits=12, photometric=photometric,
            SeriesInstanceUID="1.2.3", InstanceNumber=place))
    table, _ = scan_table.read_scan_table(folder, cache_folder=tmp_path / "cache")
    ordered = table.sort_values("volume")
    bright = [int(read_slice(path).max()) for path in ordered["path"]]
    assert np.abs(np.array(bright) - 255 * np.array(radii) / .8).max() <= 1
    assert [int(read_slice(path).max()) for path in ordered["volume"]] == [255] * 4  # alone
    again, _ = scan_table.read_scan_table(folder, cache_folder=tmp_path / "cache")
    assert again.equals(table)


def test_two_series_are_two_volumes(tmp_path):
    """Keep the limits of series apart, and single slices as they are."""
    write_series(tmp_path / "scans/a", [.5, .6, .7], level=900)
    write_series(tmp_path / "scans/b", [.5, .6, .7], level=300, StudyInstanceUID="9")
    write(tmp_path / "scans/c.dcm", dicom_bytes((BALL < .5).astype(np.uint16) * 70, bits=12,
                                                SeriesInstanceUID="1.2.4"))
    table, left_out = read_scans(tmp_path)
    assert (len(table), len(left_out)) == (7, 0)
    brightest = {}
    for row in table.itertuples():
        place = Path(row.volume or row.path).parent.name
        brightest[place] = max(brightest.get(place, 0), int(read_slice(row.path).max()))
    assert brightest == {"a": 255, "b": 255, "scans": 255}


def test_a_series_is_read_again_when_a_slice_changes(tmp_path):
    """Find a series in the cache only as long as none of its files has changed."""
    paths = write_series(tmp_path / "scans", [.5, .6, .7])
    read = lambda: read_scans(tmp_path)[0]
    first = read()
    brighter = write_series(tmp_path / "other", [.5, .6, .7], level=2000)
    paths[1].write_bytes(brighter[1].read_bytes())
    second = read()
    assert set(first["path"]).isdisjoint(second["path"])
    for file in (tmp_path / "cache/volumes").rglob("*.png"):
        file.unlink()
    assert read().equals(second)


@given(brightness=st.lists(
    st.tuples(*[st.floats(0, 1e4)] * 3).map(sorted), min_size=1, max_size=12))
def test_only_ends_are_air(brightness):
    """Mark nothing between two slices that show something, and never all slices."""
    air = dicom_series.air_at_ends(brightness)
    low, high = dicom_series.series_limits(brightness)
    assert low <= high
    shown = np.flatnonzero(~air)
    assert len(shown) and not air[shown[0]:shown[-1] + 1].any()


def test_groups_need_a_series_of_two():
    """Group files of one series, patient, size and kind of display."""
    fact = {"series": "1", "patient": "p", "width": 9, "height": 9, "windowed": True,
            "brightness": [0, 1, 1]}
    found = [[fact], [fact | {"width": 8}], [fact], [fact | {"series": ""}], [{"reason": "x: y"}],
             [fact, fact], [fact | {"patient": "q"}], [fact | {"windowed": False}]]
    assert dicom_series.series_groups([str(i) for i in range(8)], found) == [[0, 2]]


def test_a_slice_that_vanishes_keeps_the_others(tmp_path):
    """Keep the limits of each file where one of a series cannot be read a second time."""
    paths = write_series(tmp_path / "scans", [.5, .6, .7])
    found = [scan_files.inspect_file(path, tmp_path / "cache") for path in paths]
    assert dicom_series.stretch_slice(paths[0], 0, 4000).max() < 40
    paths[1].unlink()
    joined = dicom_series.join_series(paths, found, tmp_path / "cache")
    assert joined == found
    assert dicom_series.without_kinds(joined) == found
