"""Caffe weight files, read with NumPy alone: just enough of the protocol-buffer wire format."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dehazelib.data.images import DataError

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types
# Field numbers of caffe.proto. A network lists its layers in one of two generations of the format.
LAYERS = {100: {"name": 1, "type": 2, "blobs": 7}, 2: {"name": 4, "type": 5, "blobs": 6}}
LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
DATA, SHAPE, DOUBLE_DATA = 5, 7, 8
DIMENSIONS = 1


@dataclass(frozen=True)
class Layer:
    """One layer that holds weights. type: "Convolution", "BatchNorm", ...; a number in the older format."""

    name: str
    type: str | int
    blobs: list[np.ndarray]


def read_caffemodel(path: Path | str) -> list[Layer]:
    """Returns the layers that hold weights, in file order; blobs are float32 arrays of the stored shape.

    path: a .caffemodel file, either generation of the format.
    Raises DataError if the file is cut off, is no Caffe network, or has a blob whose values do not fill its
    shape; FileNotFoundError if it is absent.
    Source: caffe.proto of github.com/BVLC/caffe; protobuf.dev/programming-guides/encoding.
    """
    try:
        layers = [
            _layer(value, LAYERS[number])
            for number, wire, value in _fields(memoryview(Path(path).read_bytes()))
            if wire == DELIMITED and number in LAYERS
        ]
    except ValueError as error:
        raise DataError(f"{path}: not a whole Caffe model ({error}); fetch the published file "
                        "again.") from None
    weighted = [layer for layer in layers if layer.blobs]
    if not weighted:
        raise DataError(f"{path}: not a Caffe model, no layer has weights; fetch the published file.")
    return weighted


def _layer(message: memoryview, fields: dict[str, int]) -> Layer:
    name, kind, blobs = "", "", []
    for number, _, value in _fields(message):
        if number == fields["name"]:
            name = bytes(value).decode()
        elif number == fields["type"]:
            kind = value if isinstance(value, int) else bytes(value).decode()
        elif number == fields["blobs"]:
            blobs.append(_blob(value))
    return Layer(name, kind, blobs)


def _blob(message: memoryview) -> np.ndarray:
    legacy, shape, values = dict.fromkeys(LEGACY_SHAPE, 1), None, []
    for number, wire, value in _fields(message):
        if number in LEGACY_SHAPE and wire == VARINT:
            legacy[number] = value
        elif number == SHAPE:
            shape = _dimensions(value)
        elif number in (DATA, DOUBLE_DATA):  # packed into one field, or one field per number
            values.append(np.frombuffer(value, "<f4" if number == DATA else "<f8"))
    array = np.concatenate(values or [np.zeros(0)]).astype(np.float32)
    shape = tuple(legacy.values()) if shape is None else shape
    if array.size != int(np.prod(shape)):
        raise ValueError(f"a blob of shape {shape} holds {array.size} values")
    return array.reshape(shape)


def _dimensions(message: memoryview) -> tuple[int, ...]:
    result = []
    for number, wire, value in _fields(message):
        if number == DIMENSIONS:
            result += [value] if wire == VARINT else _varints(value)
    return tuple(result)


def _fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yields (field number, wire type, value): an int for VARINT, the bytes for the others."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(message, position)
            yield number, wire, value
            continue
        if wire == DELIMITED:
            length, position = _varint(message, position)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if position + length > len(message):
            raise ValueError(f"a field of {length} bytes, only {len(message) - position} are left")
        yield number, wire, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Returns the number that starts at a position, seven bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if position == len(message):
            raise ValueError("it ends within a number")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError(f"a number of more than ten bytes before byte {position}")


def _varints(message: memoryview) -> list[int]:
    result, position = [], 0
    while position < len(message):
        number, position = _varint(message, position)
        result.append(number)
    return result
