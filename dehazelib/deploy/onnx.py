"""The student as one ONNX file: for any program that runs ONNX (ONNX Runtime from 1.17 on), without torch."""

import contextlib
import logging
import os
import re
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from dehazelib.networks.student import Student

INPUT, OUTPUT = "hazy", "dehazed"
TRACED = (1, 3, 64, 80)  # any size would do
IR = 9  # of the file: the newest that ONNX Runtime 1.17 loads
QUANTISED = re.compile(r"\.conv[12]\.weight")  # the others cost more PSNR than all of these together


class Clamped(nn.Module):
    """Returns the network's output clamped to [0, 1]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, hazy: Tensor) -> Tensor:
        return self.network(hazy).clamp(0, 1)


class Calibration(CalibrationDataReader):
    """The hazy images of some pairs (data.pairs.Pairs), one by one, as ONNX Runtime asks for them."""

    def __init__(self, pairs):
        self.images = ({INPUT: pairs[i][0][None].numpy()} for i in range(len(pairs)))

    def get_next(self) -> dict | None:
        return next(self.images, None)


def export(student: Student, target: Path, int8: bool = False) -> None:
    """Writes the student as one ONNX file; the file appears whole or not at all.

    Its input "hazy" and output "dehazed" are float32 RGB (batch, 3, height, width) in [0, 1], of any size.
    int8: the 36 convolutions inside the inner blocks compute in 8 bits (weights per output channel), with ranges
    calibrated on the embedded validation images; the file is smaller, the result less exact: `dehazelib bench
    inference` says by how much, and whether it is any faster here. Raises ValueError unless the target ends in .onnx.
    """
    target = Path(target).expanduser()
    if target.suffix != ".onnx":
        raise ValueError(f"{target}: the name of an ONNX file ends in .onnx.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _quiet(), tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:  # a short name
        made = Path(folder) / "float32.onnx"
        onnx.save(_graph(student), made)
        if int8:
            made = _quantised(made)
            _for_older_runtimes(made)
        os.replace(made, target)


def _graph(student: Student) -> onnx.ModelProto:
    """Returns the float32 graph, without what the exporter notes about source files."""
    free = {axis: torch.export.Dim(name) for axis, name in ((0, "batch"), (2, "height"), (3, "width"))}
    program = torch.onnx.export(Clamped(student).eval(), (torch.zeros(TRACED),), dynamo=True, verbose=False,
                                input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes=(free,))
    model = program.model_proto
    model.ir_version = IR
    graph = model.graph
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output, graph, model):
        del item.metadata_props[:]
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _quantised(file: Path) -> Path:
    """Returns a new file beside `file`: the same graph, with the convolutions of its inner blocks in 8 bits."""
    from dehazelib.data.sources import open_data  # needs packages of the study, which 32 bits do not

    images = open_data("rooms").validation
    prepared, result = file.with_name("prepared.onnx"), file.with_name("int8.onnx")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    others = [node.name for node in onnx.load(prepared).graph.node
              if node.op_type == "Conv" and not QUANTISED.search(node.input[1])]
    quantize_static(prepared, result, Calibration(images), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
                    nodes_to_exclude=others)
    return result


def _for_older_runtimes(file: Path) -> None:
    """Rewrites a file as IR version 9, and without the operator sets that its tools list and the graph does not use."""
    model = onnx.load(file)
    model.ir_version = IR
    domains = {node.domain for node in model.graph.node}
    used = [entry for entry in model.opset_import if entry.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(used)
    onnx.save(model, file)


@contextlib.contextmanager
def _quiet():
    """Keeps notes of the exporter on its own internals from the terminal; errors are still raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
