"""The measures of the tests are themselves tested: coverage by notebooks, and planted faults."""
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from conftest import ROOT
from mutants import (
    NOTEBOOKS,
    Mutant,
    all_mutants,
    ask_notebook,
    drawn,
    equivalent,
    is_fault,
    module_source,
    mutated_cell,
)
from notebooks import exported_cells


def planted(before: str, after: str) -> Mutant:
    """A fault of the losses."""
    source = module_source("models/losses").decode()
    assert source.count(before) == 1
    start = len(source[:source.index(before)].encode())
    return Mutant("models/losses", "", source[: source.index(before)].count("\n") + 1,
                  f"{before} -> {after}", start, start + len(before.encode()), after)


@pytest.mark.nightly
def test_a_notebook_counts_for_its_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "tests/notebooks.py", "--coverage", tmp_path, "models/02_losses"],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    covered = dict(re.findall(r"brainclust/([\w/]+)\.py .* ([\d.]+)%", done.stdout))
    assert float(covered["models/losses"]) > 90 and float(covered["data/cleaning"]) == 0


@pytest.mark.nightly
def test_a_planted_fault_is_noticed_and_an_equal_program_is_not():
    fault, same, endless = (planted("epoch / (warmup + 1)", "epoch / (warmup + 2)"),
                            planted("(1 - mixture_weight) * probabilities",
                                    "probabilities * (1 - mixture_weight)"),
                            planted("    return F.mse_loss(reconstructions, slices)",
                                    "    import os; os.kill(os.getpid(), 9)"))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        verdicts = pool.submit(ask_notebook, "models/losses", [fault, same, endless]).result()
    assert verdicts == {fault.name(): "failed", same.name(): "", endless.name(): "failed"}


def test_drawn_faults_are_faults_of_cells_and_draws_never_meet():
    first, second = drawn("models/losses", 15, 0), drawn("models/losses", 15, 1)
    assert len({mutant.name() for mutant in first + second}) == 30 and first == drawn(
        "models/losses", 15, 0)
    cells = exported_cells("models/02_losses")
    for mutant in first + second:
        assert is_fault(mutant)
        cell, source = mutated_cell(mutant)
        assert source.splitlines() != cells[cell].lines and compile(source, cell, "exec")


@pytest.mark.nightly
def test_every_excuse_is_for_a_fault_that_exists():
    """`equivalent_mutants.csv` holds no fault of code that is gone."""
    reasons = equivalent()
    names = {mutant.name() for module in NOTEBOOKS for at_place in all_mutants(module)
             for mutant in at_place}
    assert set(reasons) <= names and all(len(reason) > 20 for reason in reasons.values())


@pytest.mark.nightly
@pytest.mark.parametrize("draw", [0, 1])
def test_most_planted_faults_are_noticed(draw):
    """A hundred faults, of which 85 % must be."""
    subprocess.run([sys.executable, "tests/mutants.py", "--draw", str(draw)], cwd=ROOT, check=True)
