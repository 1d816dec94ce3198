"""Names of classes stay as the user wrote them, whatever way they take."""

import shlex

import pytest
import yaml
from hypothesis import given, strategies as st

from brainclust.core import config, untrusted
from brainclust.data import labels
from brainclust.runs import execute

# read by YAML as truth values, numbers, dates and nothing
WORDS = ["no", "yes", "on", "off", "y", "n", "true", "False", "NO", "0", "1", "00", "1.5", "1.50",
         "1e3", "0x1F", "1_000", "null", "Null", "1999-01-01", "2000-01-01", "12:30:45", "опухоль",
         "健康", "Métastase cérébrale", "it's", "grade I (WHO)", "a" * 100]
PAIRS = st.lists(st.sampled_from(WORDS), min_size=2, max_size=44, unique=True)


def spellings(names: list[str]) -> list[str]:
    """Write a list in the ways of the command line."""
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return [f"[{', '.join(names)}]", ", ".join(names), f"[{quoted}]", quoted,
            "\n".join(f"- {name}" for name in names)]


@given(names=PAIRS)
def test_spellings_of_a_list_give_the_names_as_written(names):
    """Read each spelling of a list of names to the same words."""
    for text in spellings(names):
        assert untrusted.read_names(text) == names
        assert config.make_config(classes=text).classes == tuple(names)
        assert execute.parse_parameters([["classes", text]])["classes"] == names


@given(names=PAIRS)
def test_clusters_follow_the_classes(names):
    """Make as many clusters as classes in every preset, unless their number is given."""
    for preset in config.PRESETS:
        assert config.make_config(preset, classes=names).n_clusters == len(names)
    assert config.make_config("paper", classes=names, n_clusters=7).n_clusters == 7


@pytest.mark.parametrize("preset", list(config.PRESETS))
def test_the_known_classes_have_four_clusters(preset):
    """Keep the four clusters of the reproduced study."""
    assert config.make_config(preset).n_clusters == config.Config().n_clusters == 4


@given(names=PAIRS)
def test_overrides_and_files_keep_the_names(names):
    """Keep names in overrides, and in parameter files whose words the folders tell."""
    text = f"{{classes: [{', '.join(names)}], epochs: 3}}"
    made = config.make_config(overrides=text)
    assert (made.classes, made.epochs) == (tuple(names), 3)
    given = execute.parse_parameters([["overrides", text]])["overrides"]
    assert given["classes"] == untrusted.read_settings(text)["classes"] == names


@pytest.mark.parametrize("folders", [["no", "yes"], ["off", "on"], ["NO", "YES"], ["00", "01"],
                                     ["1.50", "2.50"], ["null", "true"]])
def test_words_that_yaml_took_are_found_among_the_folders(folders, tmp_path):
    """Match truth values and numbers of a parameter file with the folders of the data."""
    for name in folders:
        (tmp_path / "Training" / name).mkdir(parents=True)
    values = yaml.safe_load(f"[{', '.join(folders)}]")
    made = config.make_config(classes=values, data=str(tmp_path))
    assert made.classes == tuple(folders)
    found = untrusted.folder_names(tmp_path)
    assert found == {"Training", *folders}
    assert [untrusted.written_name(value, found) for value in values] == folders


@pytest.mark.parametrize("data", ["phantom", "/nowhere", None, 3, "a\0b", "~nobody/scans"])
def test_data_that_are_not_a_folder_have_no_names(data):
    """Find no folder names where there is not a folder."""
    assert untrusted.folder_names(data) == set()


@pytest.mark.parametrize(("values", "folders"), [
    ([False, True], []), ([False, True], ["no", "off", "yes"]), ([None, "a"], ["b"])])
def test_words_that_are_lost_are_asked_for(values, folders, tmp_path):
    """Ask for quotes where no folder, or more than one, has the meaning."""
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="classes must be names; .* Put each name in quotes"):
        config.make_config(classes=values, data=str(tmp_path))


@pytest.mark.parametrize(("name", "text", "value"), [
    ("window_percentiles", "[1, 99]", (1., 99.)), ("window_percentiles", "1, 99", (1., 99.)),
    ("window_percentiles", "None", None), ("window_percentiles", "null", None),
    ("anchored", "true", True), ("anchored", "yes", True), ("flip_tta", "off", False),
    ("learning_rate", "1e-3", .001), ("epochs", "None", 30), ("n_clusters", "null", 4),
    ("cache", "None", None)])
def test_settings_that_papermill_gives_as_text(name, text, value):
    """Read lists, truth values, numbers and nothing from the text that papermill passes on."""
    assert getattr(config.make_config("demo", **{name: text}), name) == value


@pytest.mark.parametrize(("name", "text", "value"), [
    ("data", "2020", "2020"), ("out", "007", "007"), ("data", "~/scans", "~/scans"),
    ("out", "null", None), ("epochs", "3", 3), ("classes", "null", None)])
def test_folders_with_numbers_for_names_stay_text(name, text, value):
    """Keep the name of a folder that looks like a number."""
    assert execute.parse_parameters([[name, text]]) == {name: value}


@given(names=PAIRS)
def test_the_remedy_can_be_pasted(names):
    """Write the setting as a shell reads it back."""
    for more in ([], ['a "b"', "5 $ & more", "`x`", "back\\slash"]):
        flag, setting, text = shlex.split(labels.classes_setting([*names, *more]))
        assert (flag, setting) == ("-p", "classes")
        assert untrusted.read_names(text) == [*names, *more]


@pytest.mark.parametrize(("places", "expected"), [
    (("yes/1", "no/2"), ["no", "yes"]), (("Training/a/1", "Testing/b/2"), ["a", "b"]),
    (("x/a/1", "x/b/deep/2"), ["a", "b"]), (("1", "2"), []), (("train/1", "test/2"), [])])
def test_folders_side_by_side_may_be_classes(places, expected):
    """List the folders that lie side by side, and no split."""
    assert labels.class_candidates([f"{place}.png" for place in places]) == expected


@pytest.mark.parametrize(("classes", "n_clusters"), [("a, b", 4), ("a, b, c", 2)])
def test_a_contradiction_names_the_settings(classes, n_clusters):
    """Name both settings and the remedy."""
    with pytest.raises(ValueError, match="Leave n_clusters out, or correct classes"):
        config.make_config("demo", classes=classes, n_clusters=n_clusters)


@pytest.mark.parametrize("names", [["=1+1", "b"], ["a;b", "c"], ["a", "a"], ["a" * 101, "b"]])
def test_names_that_tables_cannot_hold_are_refused(names):
    """Refuse names that a spreadsheet computes, or that lists of names cannot hold."""
    with pytest.raises(ValueError, match="classes must be at least two different names"):
        config.make_config(classes=names)
