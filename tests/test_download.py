"""Public collections: whatever the network or an archive does, the folder is whole or not there."""
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import threading
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from commands import fetch_command
from PIL import Image

from brainclust.data.download import (
    COLLECTIONS,
    collection_record,
    download_file,
    fetch_collection,
)
from brainclust.data.scan_table import read_scan_table


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip archive with these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


ARCHIVES = {
    "brainTumorDataPublic_1-2.zip": zipped({"brainTumorDataPublic_1-2/1.mat": os.urandom(300_000),
                                            "brainTumorDataPublic_1-2/2.mat": b"two"}),
    "brainTumorDataPublic_3-3.zip": zipped({"3.mat": b"three", "notes.txt": b"left out"})}


class Figshare(BaseHTTPRequestHandler):
    """figshare in small: an article of two archives and a read-me; `faults` makes it worse."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.path.startswith("/articles/"):
            return self.answer(json.dumps(self.article()).encode())
        name = self.path[1:]
        content, start = ARCHIVES.get(name), self.headers.get("Range")
        if content is None: return self.send_error(404)
        if "altered" in self.server.faults:
            content = content[:-1] + b"?"
        if start:
            content = content[int(start[6:-1]):]
        cut = self.server.faults.get("cut", 0)
        if cut:
            self.server.faults["cut"] -= 1
        self.answer(content, len(content) // 2 if cut else None, 206 if start else 200)

    def article(self) -> dict:
        address = f"http://127.0.0.1:{self.server.server_port}"
        files = [
            {"id": 1, "name": n, "size": len(c), "download_url": f"{address}/{n}",
             "supplied_md5": "", "is_link_only": False, "computed_md5": hashlib.md5(c).hexdigest()}
            for n, c in {**ARCHIVES, "README.txt": b"read me"}.items()]
        if "nonsense" in self.server.faults: return {"message": "maintenance"}
        return {"doi": "10.6084/m9.figshare.1512427.v5", "version": 5,
                "license": {"name": "CC BY 4.0"}, "files": files}

    def answer(self, content: bytes, sent: int | None = None, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])

    def log_message(self, *words) -> None:
        pass


@pytest.fixture
def figshare(monkeypatch):
    """A server with `asked`, `faults` and `address`; retries do not wait."""
    monkeypatch.setattr("brainclust.data.download.time.sleep", lambda seconds: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Figshare)
    server.asked = []
    server.faults = {}
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the visible files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and not p.name.startswith(".")}


def test_figshare_archives_arrive_checked_and_in_their_places(figshare, tmp_path, capsys):
    folder = fetch_collection("cheng", tmp_path / "cheng", api=figshare.address)
    assert sorted(contents(folder)) == ["slices/1.mat", "slices/2.mat", "slices/3.mat"]
    assert contents(folder)["slices/3.mat"] == b"three"
    record = collection_record(folder)
    assert (record["source"]["version"] == 5
            and record["source"]["licence"] == record["licence"] == "CC BY 4.0")
    assert {a["name"]: a["md5"] for a in record["archives"]} == {
        n: hashlib.md5(c).hexdigest() for n, c in ARCHIVES.items()}
    assert record["notes"] == ["The collection has 3,064 slices; 3 are here."]
    printed = capsys.readouterr().out
    assert "CC BY 4.0" in printed and COLLECTIONS["cheng"].citation in printed
    assert [p.name for p in tmp_path.iterdir()] == ["cheng"]
    fetch_collection("cheng", folder, api="http://127.0.0.1:1")  # it is there: nothing is asked


def test_a_cut_transfer_is_resumed(figshare, tmp_path):
    figshare.faults["cut"] = 2
    folder = fetch_collection("cheng", tmp_path / "cheng", api=figshare.address)
    assert len(contents(folder)) == 3
    assert sum(rest is not None for _, rest in figshare.asked) >= 1


def test_a_transfer_that_stays_cut_leaves_no_folder_and_the_next_call_goes_on(figshare, tmp_path):
    figshare.faults["cut"] = 5
    with pytest.raises(
        ConnectionError,
        match=("run the same command again later, or download the archive in a browser from "
               "https://figshare")):
        fetch_collection("cheng", tmp_path / "cheng", api=figshare.address)
    assert [p.name for p in tmp_path.iterdir()] == ["cheng.download"]
    figshare.asked.clear()
    fetch_collection("cheng", tmp_path / "cheng", api=figshare.address)
    assert figshare.asked[1][1] is not None  # the first archive is continued, not begun again
    assert [p.name for p in tmp_path.iterdir()] == ["cheng"]


@pytest.mark.parametrize(
    "fault, words", [("altered", "size or checksum differ"), ("nonsense", "was not understood")])
def test_wrong_answers_are_refused(figshare, tmp_path, fault, words):
    figshare.faults[fault] = True
    with pytest.raises(ConnectionError, match=words):
        fetch_collection("cheng", tmp_path / "cheng", api=figshare.address)
    assert not (tmp_path / "cheng").exists()
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.zip"))


def test_a_stalled_server_is_given_up(tmp_path):
    import socket
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with pytest.raises(ConnectionError, match="did not respond in time"):
            download_file(f"http://127.0.0.1:{mute.getsockname()[1]}/", tmp_path / "a.zip", 1,
                          "0" * 32, attempts=1, timeout=0.2)


class Kaggle(types.SimpleNamespace):
    """Kaggle's client with the call signature of kagglehub 1.0; `tree` is what it downloads."""

    def dataset_download(
        self,
        handle: str,
        path: str | None = None,
        *,
        force_download: bool | None = False,
        output_dir: str | None = None,
    ) -> str:
        assert handle == COLLECTIONS["kaggle"].handle
        if self.tree is None:
            raise requests.ConnectionError("HTTPSConnectionPool: Max retries exceeded")
        return str(self.tree)


def test_the_call_matches_the_installed_client():
    kagglehub = pytest.importorskip("kagglehub")
    import inspect
    ours, theirs = (inspect.signature(f).parameters
                    for f in (Kaggle(tree=None).dataset_download, kagglehub.dataset_download))
    assert [(n, p.kind) for n, p in ours.items()] == [(n, p.kind) for n, p in theirs.items()]


def test_a_kaggle_tree_is_copied_and_can_be_read(tmp_path, phantom_tree):
    cache = tmp_path / "cache"
    folder = fetch_collection("kaggle", tmp_path / "kaggle", kagglehub=Kaggle(tree=phantom_tree))
    assert contents(folder) == contents(phantom_tree)
    table, unreadable = read_scan_table(folder, cache_folder=cache)
    assert len(table) == len(contents(phantom_tree)) and unreadable.empty
    assert collection_record(folder)["licence"].startswith("CC0")


def test_links_in_a_downloaded_tree_are_not_followed(tmp_path, phantom_tree):
    tree = tmp_path / "tree" / "Training" / "glioma"
    tree.mkdir(parents=True)
    Image.new("L", (8, 8)).save(tree / "a.png")
    (tree / "b.png").symlink_to("/etc/hostname")
    assert list(
        contents(fetch_collection(
                     "kaggle", tmp_path / "kaggle", kagglehub=Kaggle(tree=tmp_path / "tree")))
    ) == ["Training/glioma/a.png"]


def test_offline_says_what_to_do_and_the_archive_by_hand_works(tmp_path, phantom_tree, capsys):
    with pytest.raises(ConnectionError) as error:
        fetch_collection("kaggle", tmp_path / "kaggle", kagglehub=Kaggle(tree=None))
    sentence = str(error.value)
    assert ("\n" not in sentence and "brainclust fetch kaggle" in sentence
            and "--archive" in sentence and COLLECTIONS["kaggle"].page in sentence)
    (tmp_path / "archive.zip").write_bytes(
        zipped({f"archive/{n}": c for n, c in contents(phantom_tree).items()}))
    assert (fetch_command(
                ["kaggle", str(tmp_path / "kaggle"), "--archive", str(tmp_path / "archive.zip")])
            == 0)
    assert contents(tmp_path / "kaggle") == contents(phantom_tree)


def test_a_zip_of_zips_as_figshare_gives_it_in_a_browser(tmp_path):
    (tmp_path / "1512427.zip").write_bytes(
        zipped({**ARCHIVES, "README.txt": b"read me", "cvind.mat": b"folds"}))
    folder = fetch_collection("cheng", tmp_path / "cheng", [tmp_path / "1512427.zip"])
    assert sorted(contents(folder)) == ["slices/1.mat", "slices/2.mat", "slices/3.mat"]
    assert not (folder / ".archives").exists()


def hostile(kind: str) -> bytes:
    """Return a hostile archive that otherwise looks like Cheng's."""
    link = zipfile.ZipInfo("2.mat")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    device = zipfile.ZipInfo("2.mat")
    device.external_attr = (stat.S_IFCHR | 0o666) << 16
    bad = {"parent": {"../2.mat": b"x"}, "deep parent": {"a/../../2.mat": b"x"},
           "absolute": {"/2.mat": b"x"}, "drive": {"C:2.mat": b"x"},
           "backslash": {"..\\2.mat": b"x"}, "link": {link: b"/etc/passwd"},
           "device": {device: b""}, "bomb": {"2.mat": bytes(50_000_000)},
           "twice": {"a/1.mat": b"x"}}
    return zipped({"1.mat": b"good", **bad[kind]})


@pytest.mark.parametrize(
    "kind",
    ["parent", "deep parent", "absolute", "drive", "backslash", "link", "device", "bomb", "twice"])
def test_hostile_archives_are_refused_whole(tmp_path, kind, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.zip").write_bytes(hostile(kind))
    before = {p for p in tmp_path.rglob("*")}
    assert (
        fetch_command(
            ["cheng", str(tmp_path / "in" / "out"), "--archive", str(tmp_path / "in" / "bad.zip")])
        == 2)
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "Nothing was" in message
    assert {p for p in tmp_path.rglob("*")} == before and not Path("/2.mat").exists()


def test_an_inner_zip_is_checked_too(tmp_path, capsys):
    (tmp_path / "outer.zip").write_bytes(zipped({"inner.zip": hostile("parent")}))
    assert (
        fetch_command(["cheng", str(tmp_path / "out"), "--archive", str(tmp_path / "outer.zip")])
        == 2)
    assert "would lie outside" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outer.zip"]


def test_wrong_requests_end_with_status_2(tmp_path, capsys):
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    for arguments, words in (
        (["brats", str(tmp_path / "x")], "must be one of kaggle, br35h, cheng; got 'brats'"),
        (["cheng", str(tmp_path / "x"), "--archive", str(tmp_path / "text.zip")],
         "must be an undamaged zip archive"),
        (["cheng", str(tmp_path / "x"), "--archive", str(tmp_path / "absent.zip")],
         "does not exist"), (["cheng", str(tmp_path / "mine")], "choose another folder")):
        assert fetch_command(arguments) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists() and (tmp_path / "mine" / "thesis.txt").exists()
    assert fetch_command(["cheng"]) == 2
    assert "or --list" in capsys.readouterr().err


def test_the_command_without_network_ends_in_one_line(tmp_path):
    """The real address behind a proxy that does not exist: what a user without network sees."""
    environment = {**os.environ, "https_proxy": "http://127.0.0.1:1",
                   "HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
    words = ["-m", "brainclust", "fetch", "cheng", str(tmp_path / "cheng")]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and "--archive FILE.zip" in done.stderr
    assert not list(tmp_path.iterdir())
