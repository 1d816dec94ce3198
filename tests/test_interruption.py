"""A run that is stopped at any moment, in any way, ends as if nothing had happened."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from commands import run_command
from conftest import keep_measured

from brainclust.core.files import load_table

KINDS = ("SIGKILL", "SIGTERM", "Ctrl-C", "kernel death")


def words_of(settings: dict) -> list[str]:
    """Return settings as words of a command line."""
    return [word for name, value in settings.items() for word in ("-p", name, str(value))]


def start(settings: dict, out: Path, cache: Path, **more) -> subprocess.Popen:
    """Start `brainclust run` as a user does."""
    words = words_of({**settings, "out": out, **more})
    log = open(out.with_name(f"{out.name}.log"), "ab")
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("brainclust")), "run", *words],
        stdout=log,
        stderr=log,
        cwd=out.parent,
        start_new_session=True,
        # which is ignored where the tests run in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "BRAINCLUST_CACHE": str(cache)},
    )


def finish(process: subprocess.Popen, seconds: int = 900) -> int:
    """Wait for the end, and for that of every process that it has started."""
    family = ({child for child in psutil.Process(process.pid).children(recursive=True)}
              if process.poll() is None else set())
    code = process.wait(seconds)
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left, f"still there after its end: {left}"
    return code


def stop(process: subprocess.Popen, kind: str) -> None:
    """Stop a run, and wait until nothing of it is left."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    kernels = [child for child in family
               if child.is_running() and "ipykernel_launcher" in " ".join(child.cmdline())]
    if kind == "kernel death" and kernels:
        kernels[0].kill()
    else:
        process.send_signal(
            {"SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}.get(kind, signal.SIGKILL))
    process.wait(120)
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left, f"{kind} left {left}"


def where(out: Path) -> str:
    """How far a run had come, told by what it has written."""
    state = out / "checkpoint" / "joint" / "state.json"
    if not (out / "config.json").exists(): return "starting"
    if (out / "run.json").exists(): return "HTML export"
    if not (out / "figures" / "tensor_preparation.png").exists(): return "cache building"
    if not state.exists(): return "before the first checkpoint"
    epochs = json.loads((out / "config.json").read_text())["epochs"]
    if json.loads(state.read_text())["epoch"] < epochs: return "joint training"
    return ("supervised baseline" if not (out / "tables" / "methods.csv").exists()
            else "measuring and plotting")


def results(out: Path) -> dict[str, bytes]:
    """Everything that must not depend on interruptions.

    Weights, history, tables and figures, but not how long they took.
    """
    names = [
        out / name
        for name in ("model.safetensors", "model.json", "prediction.safetensors", "prediction.json",
                     "history.parquet")]
    files = [*names,
             *(file for part in ("tables", "figures") for file in sorted((out / part).iterdir())
               if file.stem != "seconds")]
    content = {file.relative_to(out).as_posix(): file.read_bytes() for file in files}
    content["scans.parquet"] = load_table(out / "scans.parquet").to_csv().encode()
    return content


def check_same(whole: dict[str, bytes], out: Path) -> None:
    """Compare a run with the uninterrupted one, and look for what the stop may have left behind."""
    resumed = results(out)
    assert set(resumed) == set(whole)
    assert not [name for name in whole if resumed[name] != whole[name]]
    left = [file for file in out.rglob("*")
            if file.is_file() and (file.name.startswith(".") or file.suffix == ".lock")]
    assert not left, left
    assert (out / "report.html").stat().st_size > 10000


@pytest.fixture(scope="module")
def whole(report: Path) -> tuple[dict[str, bytes], float]:
    """The results of the uninterrupted run, and its seconds."""
    return results(report), float((report.parent / "seconds").read_text())


def interrupt_and_resume(
    settings: dict, folder: Path, kind: str, due, whole: dict[str, bytes],
) -> str:
    """Start a run, stop it when `due(out)` is true, resume it, compare.

    Return where it was stopped.
    """
    out, cache = folder / "run", folder / "cache"
    process = start(settings, out, cache)
    while process.poll() is None and not due(out):
        time.sleep(.01)
    place = where(out) if process.poll() is None else "ended"
    stop(process, kind)
    message = (folder / "run.log").read_text(errors="replace")
    if place != "ended" and process.returncode > 0:
        sentence = (f"brainclust run: .* -p out {out} -p resume True" if out.exists()
                    else "brainclust run: interrupted before the run began")
        assert re.match(sentence, message.splitlines()[-1]), message[-2000:]
    process = start(settings, out, cache, resume=True)
    assert finish(process) == 0, (folder / "run.log").read_text(errors="replace")[-4000:]
    check_same(whole, out)
    return place


def exporting(seconds: float):
    """Tell when the report has been written as a page for so long."""
    seen = []
    def due(out: Path) -> bool:
        if (out / "run.json").exists():
            seen.append(time.monotonic())
        return bool(seen) and seen[-1] - seen[0] >= seconds
    return due


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(5))  # ten moments each, for several processes
def test_at_fifty_random_moments(tmp_path, report_settings, whole, part):
    numbers = random.Random(part)
    rows = []
    for number in range(10):
        folder = tmp_path / str(number)
        kind = KINDS[(10 * part + number) % len(KINDS)]
        folder.mkdir()
        begun = time.monotonic()
        after = numbers.uniform(1, .95 * whole[1])
        # chance would miss what is so short
        moment = ((lambda out: time.monotonic() - begun > after) if number < 8
                  else exporting(numbers.uniform(0, 1)))
        place = interrupt_and_resume(report_settings, folder, kind, moment, whole[0])
        rows.append(
            {"moment": 10 * part + number, "kind": kind, "seconds": round(after, 1), "place": place}
        )
        with open(os.environ.get("BRAINCLUST_MOMENTS", os.devnull), "a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        shutil.rmtree(folder)
    print(pd.DataFrame(rows).to_string())
    assert (sum(row["place"] != "ended" for row in rows) >= 8
            and len({row["place"] for row in rows}) >= 3)


def interrupted(process: subprocess.Popen, out: Path, kind: str, place: str) -> None:
    """Stop a run when it has come to a place."""
    while where(out) != place:
        assert process.poll() is None and not time.sleep(.01)
    stop(process, kind)
    assert re.match(f"brainclust run: .* -p out {out} -p resume True",
                    out.with_name(f"{out.name}.log").read_text(errors="replace").splitlines()[-1])


def test_a_killed_run_goes_on(odd_run, capsys):
    """Nobody else may write into its folder until then, or start another run there afterwards."""
    run = odd_run / "run"
    *others, (status, _) = json.loads((odd_run / "asked.json").read_text())
    taken = f"brainclust run: {run} is being written by another process"
    assert len(others) == 2 and status != 0
    for status, sentence in others:
        assert status == 2 and sentence.startswith(taken), sentence
    assert json.loads((run / "run.json").read_text())["config"]["seed"] == 0
    assert list(load_table(run / "history.parquet")["epoch"]) == [1, 2]
    assert not [file for file in run.rglob("*") if file.name.startswith(".")]
    assert run_command(words_of({"out": run})) == 2
    assert ("already holds a run; pass resume=True to go on with it"
            in capsys.readouterr().err.splitlines()[-1])


@pytest.mark.nightly
def test_a_run_outlives_the_death_of_its_kernel(tmp_path, report_settings, whole):
    """It dies while it trains, and its results are those of a run that was let alone."""
    out, cache = tmp_path / "run", tmp_path / "cache"
    keep_measured(cache)
    interrupted(start(report_settings, out, cache), out, "kernel death", "joint training")
    again = start(report_settings, out, cache, resume=True)
    assert finish(again) == 0, (tmp_path / "run.log").read_text(errors="replace")[-4000:]
    check_same(whole[0], out)


@pytest.mark.nightly
def test_a_run_outlives_a_full_disk_and_an_interruption(tmp_path, report_settings, whole):
    """The disk of run and cache is too small at first; Ctrl-C comes at the end.

    Without the right to mount such a disk, only the interruption is tested.
    """
    disk = tmp_path / "disk"
    out, cache, log = disk / "run", disk / "cache", disk / "run.log"
    disk.mkdir()
    small = (
        os.name != "nt"
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", str(disk)], capture_output=True
        ).returncode == 0)
    try:
        if small:
            assert finish(start(report_settings, out, cache)) in (1, 2)
            message = log.read_text(errors="replace")
            assert ("the disk is full" in message.splitlines()[-1]
                    and "brainclust run: " in message.splitlines()[-1]), message[-2000:]
            subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        keep_measured(cache)
        second = start(report_settings, out, cache, resume=True)
        interrupted(second, out, "Ctrl-C", "measuring and plotting")
        again = start(report_settings, out, cache, resume=True)
        assert finish(again) == 0, log.read_text(errors="replace")[-4000:]
        check_same(whole[0], out)
    finally:
        if small:
            subprocess.run(["umount", "-l", str(disk)], check=True)
