"""Invalid and damaged input for brainclust.runs.model_card."""

import pandas as pd
import pytest
import yaml
from assertions import harmless, refused
from commands import card_command
from examples import HARMFUL_NAMES, finished_run
from hypothesis import given, strategies as st

from brainclust.runs import model_card


@pytest.mark.parametrize("name", HARMFUL_NAMES)
def test_cards_escape_every_name(name, tmp_path):
    """Escape every name in a model card, and keep the licence."""
    run = finished_run(tmp_path / "run", name)
    text = model_card.model_card(run)
    from mistune import html as render

    page = render(text.split("---", 2)[2])
    tags = harmless(page)
    assert not any(tag in ("a", "img", "b") for tag, _ in tags)
    front = yaml.safe_load(text.split("---")[1])
    assert front["license_name"] == name
    assert page.count("<tr>") == 1 + 1 + 1 + 1 + 2 * 2 + 2 * 2 - 2 or page.count("<tr>") >= 8


@pytest.mark.parametrize("name", HARMFUL_NAMES)
def test_checklists_are_written_without_formulas(name, tmp_path):
    """Write every item of the checklist without a formula."""
    run = finished_run(tmp_path / "run", name)
    checklist = model_card.claim_checklist(run)
    assert list(checklist) == ["number", "item", "answer", "filled"]
    assert len(checklist) == len(model_card.CLAIM)
    assert not checklist.answer.str.match(r"^[=+@-]").any()
    assert card_command([str(run)]) == 0
    assert len(pd.read_csv(run / "checklist.csv")) == len(checklist)


@given(keys=st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True),
       values=st.lists(st.text(max_size=12), min_size=1, max_size=3))
def test_markdown_tables_escape_any_text(keys, values):
    """Escape tags, code, line breaks and links."""
    rows = [dict.fromkeys(keys, value) for value in values]
    lines = model_card.markdown_table(rows).split("\n")
    assert not any(letter in "".join(lines) for letter in "<>`")
    assert all("\n" not in model_card.in_markdown(value) and "](" not
               in model_card.in_markdown(value + "](x)") for value in values)


def test_a_card_of_no_run_is_refused(tmp_path):
    """Refuse a folder that is not a run, and return 2 on the command line."""
    for function in (model_card.model_card, model_card.claim_checklist):
        refused(function, tmp_path)
    assert card_command([str(tmp_path)]) == 2
