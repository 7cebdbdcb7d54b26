"""The grader's side of the pipe: whatever bytes come, a message or a ProtocolError."""

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrangenet.grading import protocol as p
from lagrangenet.grading.isolation.wire import send

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


def read(data):
    return p.read_message(io.BytesIO(data).read)


@given(st.binary(max_size=200))
def test_any_bytes(data):
    try:
        header, payload = read(data)
    except (p.ProtocolError, EOFError):
        return
    assert isinstance(header, dict)
    assert isinstance(payload, bytes)


@given(JSON, st.binary(max_size=64))
def test_any_description_of_arrays(described, payload):
    try:
        found = p.arrays(described, payload)
    except p.ProtocolError:
        return
    assert all(type(array) is np.ndarray and array.dtype.str in p.DTYPES for array in found)


@given(JSON)
def test_any_description_of_a_value(node):
    try:
        p.value(node, [np.ones(2)])
    except p.ProtocolError:
        return


@given(
    st.sampled_from([*sorted(p.DTYPES), "|O", ">f8", "<c16", "<U4", "|V8", "f8,f8"]),
    st.lists(st.integers(-2, 5), max_size=5),
    st.integers(-4, 40),
    st.integers(-4, 200),
)
def test_an_array_is_what_its_bytes_are(dtype, shape, start, size):
    payload = bytes(200)
    try:
        (array,) = p.arrays([[dtype, shape, start, size]], payload)
    except p.ProtocolError:
        return
    assert array.dtype.str == dtype
    assert dtype in p.DTYPES
    assert list(array.shape) == shape
    assert array.nbytes == size
    assert array.flags.owndata or array.base.flags.owndata
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack("<II", p.MAX_HEADER + 1, 0), "too large"),
        (struct.pack("<II", 2, p.MAX_PAYLOAD + 1) + b"{}", "too large"),
        (struct.pack("<II", 4, 0) + b"{}", "too early"),
        (struct.pack("<II", 2, 0) + b"[]", "no table"),
        (struct.pack("<II", 3, 0) + b"{,}", "no JSON"),
        (struct.pack("<II", 100_000, 0) + b"[" * 100_000, "no JSON"),
        (b"\x01\x00", "too early"),
    ],
)
def test_what_is_no_message_says_why(data, words):
    with pytest.raises(p.ProtocolError, match=words):
        read(data)


def test_the_end_is_the_end():
    with pytest.raises(EOFError):
        read(b"")


def test_both_sides_agree(tmp_path):
    place = tmp_path / "pipe"
    with place.open("wb") as file:
        send(file.fileno(), {"a": [1, "ü"]}, b"123")
    assert read(place.read_bytes()) == ({"a": [1, "ü"]}, b"123")
    packer = p.Packer()
    node = packer.node({"x": (np.arange(3), 2.5), "y": [np.eye(2, dtype=np.float32)]})
    header, payload = read(packer.message({"node": node}))
    assert header["arrays"] == [["<i8", [3], 0, 24], ["<f4", [2, 2], 24, 16]]
    assert json.dumps(header["node"])
    assert len(payload) == 40


def test_words_of_a_submission_are_bounded_and_plain():
    assert p.printable("a\x1b[2J\nb", 20) == "a [2J b"
    assert p.printable("x" * 100, 10) == "xxxxxxx..."
    assert p.printable(b"x", 10) == ""
    assert p.printable("\u202edrow", 10) == " drow"
