"""Outputs appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.output import new_file, new_folder, write_text

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


class Broken(Exception):
    """What goes wrong in these tests."""


def fail_after_writing(path, text):
    path.write_text(text)
    raise Broken


def test_file_written_replaces_the_old_one(tmp_path):
    target = tmp_path / "a" / "out.txt"
    write_text(target, "one")
    write_text(target, "two")

    assert target.read_text() == "two"
    assert [path.name for path in target.parent.iterdir()] == ["out.txt"]


def test_file_failed_keeps_the_old_one(tmp_path):
    target = tmp_path / "out.txt"
    write_text(target, "one")

    with pytest.raises(Broken), new_file(target) as path:
        fail_after_writing(path, "tw")

    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


def test_folder_new_appears_whole(tmp_path):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_text("a")
        assert not target.exists()

    assert (target / "sub" / "a.txt").read_text() == "a"
    assert list(tmp_path.iterdir()) == [target]


def test_folder_existing_keeps_its_other_files(tmp_path):
    target = tmp_path / "out"
    write_text(target / "weights.bin", "weights")
    write_text(target / "a.txt", "old")

    with new_folder(target) as folder:
        (folder / "a.txt").write_text("new")

    assert (target / "a.txt").read_text() == "new"
    assert sorted(path.name for path in target.iterdir()) == ["a.txt", "weights.bin"]


def test_folder_failed_leaves_nothing(tmp_path):
    with pytest.raises(Broken), new_folder(tmp_path / "out") as folder:
        fail_after_writing(folder / "a.txt", "a")

    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported(tmp_path):
    with pytest.raises(CompileFailed) as caught, new_file(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert [item.code for item in caught.value.diagnostics] == ["E0903"]
    assert "no space left" in str(caught.value)


def test_target_below_a_file_is_reported(tmp_path):
    write_text(tmp_path / "file", "x")

    with pytest.raises(CompileFailed) as caught:
        write_text(tmp_path / "file" / "out", "y")

    assert caught.value.diagnostics[0].code == "E0903"


def test_a_missing_input_is_not_taken_for_a_failed_output(tmp_path):
    with pytest.raises(FileNotFoundError), new_file(tmp_path / "a" / "out"):
        (tmp_path / "missing").read_text()


def test_killed_run_leaves_nothing(tmp_path):
    script = """
import sys, time
from pathlib import Path
from lmmdsl.cli import main
from lmmdsl.driver.output import new_folder

def write():
    with new_folder(Path("out")) as folder:
        (folder / "a.txt").write_text("a")
        print("writing", flush=True)
        time.sleep(60)

main.run = lambda _: write()
main.main()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.terminate()

    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
