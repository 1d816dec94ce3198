"""The command line as a user meets it: help, names that are nearly right, one frame for errors."""
import os
import shlex
import subprocess
import sys

import click
import pytest
from commands import command, run_command
from hypothesis import given, strategies as st

from brainclust.app.commands import CONDITIONS, commands, main
from brainclust.data.audit_report import FAILURES
from brainclust.data.download import COLLECTIONS
from brainclust.runs.comparison import METHODS

NAMES = ("run", "audit", "predict", "name", "check", "compare", "card", "export", "app", "fetch",
         "embed")


def test_every_command_is_there():
    assert tuple(commands.commands) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_help_ends_with_an_example_that_can_be_read(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: brainclust {name}" in shown
    example = shown.split("Example:")[1].split()
    assert example[:2] == ["brainclust", name]
    words = shlex.split(" ".join(example[2:]))
    assert commands.commands[name].make_context(name, words).args == []


@pytest.mark.parametrize("words, defaults", [
    ("run", ["html"]), ("audit", ["0.99", "classes"]), ("predict", ["predictions.csv", "auto"]),
    ("compare", ["head"]), ("app", ["127.0.0.1", "0; x>=0"]), ("embed", ["local", "500; x>=1"])])
def test_help_shows_the_defaults(words, defaults, capsys):
    assert main([words, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"[default: {default}" in shown for default in defaults)


def test_without_any_word_the_help_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["brainclust"])
    assert main([]) == main() == main(["--help"]) == 0
    shown = capsys.readouterr()
    first = shown.out.split("Usage: ")[1]
    assert shown.out == f"Usage: {first}" * 3 and not shown.err
    assert "_BRAINCLUST_COMPLETE=bash_source" in first


def test_a_shell_completes_names(tmp_path):
    environment = {**os.environ, "_BRAINCLUST_COMPLETE": "bash_complete", "COMP_CWORD": "1",
                   "COMP_WORDS": "brainclust pre"}
    done = subprocess.run([sys.executable, "-m", "brainclust"], env=environment, text=True,
                          capture_output=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.split() == ["plain,predict"]


def test_choices_are_those_of_the_rooms():
    assert CONDITIONS == FAILURES
    options = {option.name: option for option in commands.commands["compare"].params}
    assert set(options["method"].type.choices) == set(METHODS)
    text = commands.commands["fetch"].help
    assert all(name in text for name in COLLECTIONS)


@given(name=st.sampled_from(NAMES), at=st.integers(0, 5))
def test_a_letter_too_few_suggests_the_command(name, at):
    wrong = name[:at % len(name)] + name[at % len(name) + 1:]
    if wrong in NAMES or len(wrong) < 3: return
    with pytest.raises(click.UsageError, match="did you mean"):
        commands.resolve_command(click.Context(commands, info_name="brainclust"), [wrong])


def test_wrong_words_end_in_one_sentence_and_status_2(tmp_path, capsys):
    for words, sentence in (
            (["pridict"], "brainclust: Unknown command 'pridict'; did you mean predict?"),
            (["predict", "--sauce", "a"], "Unknown option '--sauce'; did you mean --source?"),
            (["predict", "--zzz", "a"], "brainclust predict: Unknown option '--zzz'."),
            (["audit", str(tmp_path), "--fail-on", "leaks"], "must be one of leak"),
            (["audit", str(tmp_path), "--threshold", "2"], "'2' must be a number between 0 and 1."),
            (["audit", str(tmp_path), "--threshold", "nan"], "'nan' must be a number"),
            (["audit", str(tmp_path), "--workers", "0"], "must be a whole number of at least 1"),
            (["card", str(tmp_path)], "brainclust card: "),
            (["run", "-p", "lable_fraction", ".1"],
             "Unknown setting 'lable_fraction'; did you mean label_fraction?"),
            (["run", "segmentaton"], "Unknown notebook 'segmentaton'; did you mean segmentation?"),
            (["run", "-p", "epochs"], "requires 2 arguments"),
            (["run", "trian"], "Unknown notebook 'trian'")):
        assert main(words) == 2, words
        message = capsys.readouterr().err.strip()
        assert sentence in message and "\n" not in message, message
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_tells_how_to_go_on(monkeypatch, capsys):
    def interrupted(*words):
        def stop(*_, **__):
            raise KeyboardInterrupt(*words)
        monkeypatch.setattr("brainclust.runs.execute.run_report", stop)
        assert run_command([]) == 130
        return capsys.readouterr().err.strip()
    assert interrupted("runs/a") == ("brainclust run: interrupted; the same command with -p out "
                                     "runs/a -p resume True goes on.")
    assert interrupted() == ("brainclust run: interrupted before the run began; the same command "
                             "begins it.")
    def stop(*_, **__):
        raise KeyboardInterrupt
    monkeypatch.setattr("brainclust.data.audit_report.audit_folder", stop)
    assert command("audit")(["scans"]) == 130
    assert capsys.readouterr().err == ("\nbrainclust audit: interrupted; nothing was written.\n")


def test_an_error_that_nobody_expects_keeps_its_traceback(monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError
    monkeypatch.setattr("brainclust.data.audit_report.audit_folder", broken)
    with pytest.raises(ZeroDivisionError):
        main(["audit", "scans"])


def test_help_loads_no_large_package():
    code = ("import sys; from brainclust.app.commands import main; main(['predict', '--help']); "
            "sys.exit(bool({'torch', 'pandas', 'numpy', 'papermill'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_module_is_the_command(tmp_path):
    done = subprocess.run([sys.executable, "-m", "brainclust", "--version"], capture_output=True,
                          text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("brainclust, version ")
