"""Caffe weight files: the few fields of Caffe's format that hold weights."""

from pathlib import Path

import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from torch import Tensor

from dehazelib.data.images import DataError

# message -> field -> number, type, and whether there are several; a network lists its layers in one of two generations
FIELDS = {
    "Net": {"layer": (100, "Layer", True), "layers": (2, "OldLayer", True)},
    "Layer": {"name": (1, "string", False), "type": (2, "string", False), "blobs": (7, "Blob", True)},
    "OldLayer": {"name": (4, "string", False), "blobs": (6, "Blob", True)},
    "Blob": {"num": (1, "int32", False), "channels": (2, "int32", False), "height": (3, "int32", False),
             "width": (4, "int32", False), "data": (5, "float", True), "shape": (7, "Shape", False),
             "double_data": (8, "double", True)},
    "Shape": {"dim": (1, "int64", True)},
}


def read_caffe(path: Path) -> dict[str, Tensor]:
    """Returns LAYER.weight and LAYER.bias, or LAYER.running_mean and LAYER.running_var of a BatchNorm layer; float32.

    Raises DataError if the file is cut off, is no Caffe network, or has a blob whose values do not fill its shape.
    Source: caffe.proto of github.com/BVLC/caffe.
    """
    network, result = _format("Net")(), {}
    try:
        network.ParseFromString(path.read_bytes())
        for layer in [*network.layer, *network.layers]:
            normalises = getattr(layer, "type", "") == "BatchNorm"
            roles = ("running_mean", "running_var") if normalises else ("weight", "bias")
            blobs = [_array(blob) for blob in layer.blobs]
            if normalises:  # Caffe keeps running sums; their weight is the third blob
                *sums, weight = blobs
                blobs = [total / weight for total in sums]
            result |= {f"{layer.name}.{role}": torch.from_numpy(blob) for role, blob in zip(roles, blobs)}
    except (message.DecodeError, ValueError) as error:
        raise DataError(f"{path}: not a whole Caffe model ({error}); fetch the published file again.") from None
    if not result:
        raise DataError(f"{path}: not a Caffe model, no layer has weights; fetch the published file again.")
    return result


def _array(blob: message.Message) -> np.ndarray:
    shape = blob.shape.dim if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    values = np.array(blob.data or blob.double_data, np.float32)
    if values.size != np.prod(shape):
        raise ValueError(f"a blob of shape {tuple(shape)} holds {values.size} values")
    return values.reshape(shape)


def _format(name: str) -> type[message.Message]:
    """Returns the class of a message of FIELDS."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe_weights")
    for title, fields in FIELDS.items():
        one = file.message_type.add(name=title)
        for field, (number, kind, several) in fields.items():
            label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED if several else None
            made = one.field.add(name=field, number=number, label=label)
            if kind in FIELDS:
                made.type_name = f".caffe_weights.{kind}"
            else:
                made.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe_weights.{name}"))
