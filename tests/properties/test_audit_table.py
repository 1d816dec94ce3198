"""Properties of brainclust.data.audit_table."""

import shutil
from html.parser import HTMLParser

import pandas as pd
from hypothesis import given, strategies as st

import brainclust
from brainclust.data import audit_table


class Tags(HTMLParser):
    """Collects the tags of a table."""

    def __init__(self, page: str):
        super().__init__()
        self.seen = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


@given(name=st.text(max_size=40), images=st.integers(0, 9))
def test_names_of_files_stay_text(name, images):
    """Write every name into the cells and the caption, and none as a tag."""
    found = audit_table.AuditTable([["leak", images, name, "Remove it."]],
                                   columns=audit_table.COLUMNS)
    found.attrs = {"sentences": [f"{name} has a duplicate."]}
    assert Tags(found.to_html()).seen <= {"style", "table", "caption", "thead", "tbody", "tr",
                                          "th", "td"}
    assert found._repr_html_() == found.to_html()


def test_cells_are_whole_and_lists_are_short(phantom_tree, tmp_path):
    """Show three examples of a finding and the number of the others."""
    folder = shutil.copytree(phantom_tree, tmp_path / "scans")
    pictures = [path for path in sorted(folder.rglob("*.png")) if "rain" in path.parts[-3]][:5]
    for picture in pictures:
        shutil.copy(picture, picture.with_name(f"again-{picture.name}"))
    found = brainclust.audit(folder, tmp_path / "audit").set_index("finding")
    row = found.loc["duplicate files"]
    assert row.images == 10 and row.examples.count(" = ") == 3
    assert row.examples.endswith("and 2 more") and row.examples.split("\n")[0] in found.to_html()
    pairs = pd.read_csv(tmp_path / "audit" / "pairs.csv")
    assert len(pairs) == found.attrs["summary"]["pairs"]["file"]


def test_images_of_several_splits_and_classes_are_found(phantom_tree, tmp_path):
    """Order findings by their gravity, and count each image once."""
    folder = shutil.copytree(phantom_tree, tmp_path / "scans")
    picture = next(path for path in sorted(folder.rglob("*.png")) if "rain" in path.parts[-3])
    other = next(path for path in sorted(folder.rglob("*.png"))
                 if "est" in path.parts[-3] and path.parent.name != picture.parent.name)
    shutil.copy(picture, other.with_name("contradicts.png"))
    found = audit_table.audit(folder)
    assert found.finding.tolist()[:3] == ["contradicting labels", "leak from train into test",
                                          "duplicate files"]
    assert found.images.tolist()[:3] == [2, 1, 2]
    assert found.to_html(tmp_path / "found.html") is None
    assert (tmp_path / "found.html").read_text().count("contradicts.png") == 3
