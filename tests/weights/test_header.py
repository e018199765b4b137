"""Reading headers: good files, and every way in which one can be bad."""

import json
import os
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmdsl.weights.header import MAX_HEADER, HeaderError, read_checkpoint


def encode(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


GOOD = {"a": entry(0, 24, [2, 3]), "b": entry(24, 28, []), "__metadata__": {"format": "pt"}}


def write(folder, name, header, data=b""):
    (folder / name).write_bytes(encode(header, data))
    return folder / name


def test_a_file_gives_every_tensor_with_its_bytes(tmp_path):
    file = write(tmp_path, "model.safetensors", GOOD, bytes(28))

    found = read_checkpoint(file)

    start = file.stat().st_size - 28
    assert {t.name: (t.shape, t.offset, t.size) for t in found.tensors.values()} == {
        "a": ((2, 3), start, 24),
        "b": ((), start + 24, 4),
    }
    assert found.metadata == {"format": "pt"}


BAD = {
    "is no safetensors file: it has 3 bytes": b"abc",
    "its header claims": struct.pack("<Q", MAX_HEADER + 1) + b"{}",
    "is cut short: the header needs 50 bytes": struct.pack("<Q", 50) + b"{}",
    "not valid JSON": encode(b"{nonsense"),
    "has a damaged header: not valid": encode(b"\xff\xfe"),
    "not a JSON object": encode(b"[]"),
    "names 'a' twice": encode(b'{"a": {}, "a": {}}'),
    "must map words to words": encode({"__metadata__": {"n": 1}}),
    "must have dtype, shape and data_offsets": encode({"a": {"dtype": "F32"}}),
    "unknown element kind 'F99'": encode({"a": entry(0, 4, [1], "F99")}, bytes(4)),
    "no valid shape": encode({"a": entry(0, 4, [-1])}, bytes(4)),
    "tensor `a` has no valid shape": encode({"a": entry(0, 4, [True])}, bytes(4)),
    "tensor `b` has no valid shape": encode({"b": entry(0, 4, [1] * 65)}, bytes(4)),
    "no valid byte range": encode({"a": entry(4, 0, [1])}, bytes(4)),
    "ends 4 bytes past the end": encode({"a": entry(0, 8, [2])}, bytes(4)),
    "needs 8 bytes but has 4": encode({"a": entry(0, 4, [2])}, bytes(4)),
    "needs 5000": encode({"a": entry(0, 4, [10**10, 125 * 10**6])}, bytes(4)),
    "overlaps": encode({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, bytes(8)),
    "leaves a gap": encode({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, bytes(12)),
    "2 bytes that belong to no tensor": encode({"a": entry(0, 4, [1])}, bytes(6)),
    "unusable name": encode(b'{"\\ud800": {}}'),
    "an unusable name: 'a\\n'": encode({"a\n": entry(0, 4, [1])}, bytes(4)),
    "valid JSON": encode(b"[" * 200_000),
    "JSON": encode(b'{"a": ' + b"9" * 5000 + b"}"),
}


@pytest.mark.parametrize("problem", BAD, ids=range(len(BAD)))
def test_a_bad_file_gives_one_clear_error(tmp_path, problem):
    file = tmp_path / "model.safetensors"
    file.write_bytes(BAD[problem])

    with pytest.raises(HeaderError) as caught:
        read_checkpoint(file)

    assert problem in str(caught.value)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(encode))
def test_no_bytes_crash_the_reader(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "noise.safetensors"
    file.write_bytes(content)

    with suppress(HeaderError):
        read_checkpoint(file)


def test_missing_and_special_files_are_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "model.bin").write_bytes(b"")
    problems = {
        "missing.safetensors": "no such file",
        "pipe.safetensors": "not a regular file",
        "model.bin": "safetensors files only",
        "bad\0.safetensors": "cannot be read",
    }
    for name, problem in problems.items():
        with pytest.raises(HeaderError, match=problem):
            read_checkpoint(tmp_path / name)


ONE = {"a": entry(0, 4, [1])}
TWO = {"b": entry(0, 4, [1])}


def shards(folder, names=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    write(folder, names[0], ONE, bytes(4))
    write(folder, names[1], TWO, bytes(4))


def index(folder, **names):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def test_a_folder_of_shards_reads_as_one(tmp_path):
    shards(tmp_path)

    assert list(read_checkpoint(tmp_path).tensors) == ["a", "b"]


def test_an_index_goes_before_other_files(tmp_path):
    shards(tmp_path, ("x.safetensors", "y.safetensors"))
    write(tmp_path, "consolidated.safetensors", ONE, bytes(4))
    index(tmp_path, a="x.safetensors", b="y.safetensors")

    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        assert [f.name for f in read_checkpoint(path).files] == ["x.safetensors", "y.safetensors"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"a": "x.safetensors", "b": "gone.safetensors"}, "missing file gone"),
        ({"a": "y.safetensors", "b": "y.safetensors"}, "does not hold it"),
        ({"b": "y.safetensors", "c": "x.safetensors"}, "does not hold it"),
        ({"a": "x.safetensors", "b": "../y.safetensors"}, "no valid file name"),
        ({"a": "x.safetensors", "b": 3}, "no valid file name"),
        ({}, "no `weight_map`"),
    ],
)
def test_an_index_that_lies_is_an_error(tmp_path, names, problem):
    shards(tmp_path, ("x.safetensors", "y.safetensors"))
    index(tmp_path, **names)

    with pytest.raises(HeaderError, match=problem):
        read_checkpoint(tmp_path)


def test_an_index_names_every_tensor_of_its_files(tmp_path):
    write(tmp_path, "x.safetensors", ONE | {"c": entry(4, 8, [1])}, bytes(8))
    index(tmp_path, a="x.safetensors")

    with pytest.raises(HeaderError, match="does not name tensor `c`"):
        read_checkpoint(tmp_path)


def test_an_incomplete_set_of_shards_is_an_error(tmp_path):
    write(tmp_path, "model-00001-of-00002.safetensors", ONE, bytes(4))

    with pytest.raises(HeaderError, match="lacks the shard model-00002-of-00002"):
        read_checkpoint(tmp_path)


def test_a_tensor_in_two_files_is_an_error(tmp_path):
    write(tmp_path, "x.safetensors", ONE, bytes(4))
    write(tmp_path, "y.safetensors", ONE, bytes(4))

    with pytest.raises(HeaderError, match="tensor `a` is also in"):
        read_checkpoint(tmp_path)
