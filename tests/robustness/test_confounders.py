"""Robustness of the check of confounders: tiny, odd and damaged input."""

import json

import numpy as np
import pandas as pd
import pytest
from assertions import one_sentence
from commands import audit_command
from hypothesis import given, strategies as st
from PIL import Image

from brainclust.data import confounders, scan_table

NAMES = st.sampled_from(["", "a", "b", "ü", "<script>", "a b", "-1"])


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 9)), max_size=60))
def test_any_table_gives_plain_data(rows):
    """Take any classes, sources and groups, none included, and write JSON."""
    table = pd.DataFrame(rows, columns=["class_name", "source", "group"], dtype=object)
    if table["source"].where(table["class_name"] != "").nunique() < 2: return
    found = confounders.check_confounders(table, table["group"], "")
    json.dumps(confounders.confounder_record(found))
    assert isinstance(confounders.confounder_sentence(found), str)
    assert found.table["auc"].between(0, 1).all()
    confounders.confounder_table(found)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 15])
@pytest.mark.parametrize("places", [("A",), ("A", "B")])
def test_tiny_data_accuse_nothing(n, places):
    """Measure nothing, and read no file, below eight groups of a class and of the others."""
    table = pd.DataFrame({"class_name": np.resize(["yes", "no"], n),
                          "source": np.resize(places, n)}, dtype=object)
    found = confounders.check_confounders(table, np.arange(n), "absent")
    assert not len(found.table) and confounders.confounder_sentence(found) == ""
    assert confounders.confounder_results(found) == {}


@pytest.mark.parametrize("classes", [[""] * 40, ["one"] * 40])
def test_no_label_and_one_class_have_nothing_to_compare(classes):
    """Stay silent without two classes."""
    table = pd.DataFrame({"class_name": classes, "source": ["A", "B"] * 20})
    assert not len(confounders.check_confounders(table, np.arange(40), "").table)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (400, 30)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_odd_images_are_described(shape, level):
    """Describe constant, thin and tiny images without a missing number."""
    described = confounders.describe_surroundings(np.full(shape, level, np.uint8))
    assert len(described) == len(confounders.SURROUNDINGS) and np.isfinite(described).all()


def test_a_rare_class_is_shown_and_not_measured():
    """Count three slices of a class in the table, and measure the two others."""
    table = pd.DataFrame({"class_name": ["a"] * 40 + ["b"] * 40 + ["rare"] * 3,
                          "source": ["A", "B"] * 40 + ["A"] * 3})
    found = confounders.check_confounders(table, np.arange(83), "")
    assert list(found.table["class_name"]) == ["a", "b"]
    joined = confounders.confounder_table(found).set_index("class_name")
    assert joined.loc["rare", "slices"] == 3 and np.isnan(joined.loc["rare", "auc"])


def test_large_collections_are_sampled_by_whole_groups(tmp_path, monkeypatch):
    """Describe at most so many slices, and whole patients."""
    seen = []

    def describe(table, cache_folder, workers):
        """Note the rows, and describe them by nothing."""
        seen.append(table)
        return np.zeros((len(table), 1))
    monkeypatch.setattr(confounders, "measure_surroundings", describe)
    monkeypatch.setattr(confounders, "MOST", 100)
    table = pd.DataFrame({"class_name": ["a", "b"] * 200, "source": "A",
                          "path": [f"{i}.png" for i in range(400)]})
    groups = np.arange(400) // 4
    found = confounders.check_confounders(table, groups, tmp_path)
    assert 90 <= len(seen[0]) <= 100 and found.slices == len(seen[0])
    assert pd.Series(groups[seen[0].index]).value_counts().eq(4).all()


@pytest.mark.parametrize(("content", "fault"), [
    ("path,origin\na,B\n", "must have the columns 'path' and 'source'"),
    ("a.png\n", "must have the columns"), ("path,source\nelsewhere/1.png,B\n", "got none of its"),
    ("path,source\nyes,A\nyes,B\n", "two of yes"), ("path,source\n", "got none of its")])
def test_wrong_tables_of_sources_are_one_sentence(tmp_path, content, fault):
    """Name the fault and the remedy, in Python and in the command."""
    (tmp_path / "data" / "yes").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    Image.fromarray(noise).save(tmp_path / "data" / "yes" / "1.png")
    (tmp_path / "s.csv").write_text(content)
    table = pd.DataFrame({"path": [str(tmp_path / "data" / "yes" / "1.png")]})
    with pytest.raises(ValueError, match=fault) as caught:
        scan_table.name_sources(table, tmp_path / "data", tmp_path / "s.csv")
    one_sentence(caught.value)


def test_a_missing_or_empty_table_of_sources(tmp_path):
    """Raise what every reader of files raises."""
    with pytest.raises(OSError):
        scan_table.read_sources(tmp_path / "absent.csv", tmp_path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError):
        scan_table.read_sources(tmp_path / "empty.csv", tmp_path)


@pytest.mark.parametrize("named", [True, False])
def test_the_audit_writes_the_sentence_everywhere(tmp_path, named, capsys):
    """Print it, keep it in summary.json, and show it on the report's first page."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(48):
        grey = rng.integers(0, 255, (48, 48)).astype(np.uint8)
        grey[:12 * (i % 2)] = 7
        name = f"{'yes' if i % 2 else 'no'}/{i}.png"
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(tmp_path / "data" / name)
        rows.append(f"{name},{'<Pune>' if i % 2 else 'Graz'}\n")
    (tmp_path / "s.csv").write_text("path,source\n" + "".join(rows))
    given_sources = ["--sources", str(tmp_path / "s.csv")] if named else []
    assert audit_command(
        [str(tmp_path / "data"), "--out", str(tmp_path / "out"), *given_sources]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    (sentence,) = summary["confounders"]["sentences"]
    assert sentence in capsys.readouterr().out
    assert summary["confounders"]["seen"] == ("source" if named else "surroundings")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a network can learn the source in place of the class" in page
    assert "Classes and their sources" in page and "<Pune>" not in page
    assert ("&lt;Pune&gt;" in page) == named


def test_a_wrong_table_of_sources_stops_the_audit(tmp_path, capsys):
    """End with status 2 and write nothing."""
    (tmp_path / "data").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    Image.fromarray(noise).save(tmp_path / "data" / "1.png")
    assert audit_command([
        str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--sources",
        str(tmp_path / "absent.csv")]) == 2
    assert not (tmp_path / "out").exists() and "absent.csv" in capsys.readouterr().err
