"""The three formats of an exported network: how a file is written, and how it is run again.

torch: `torch.export`, for Python and AOTInductor. onnx: PyTorch's exporter on top of torch.export,
for other runtimes. torchscript: a trace, for C++; PyTorch has deprecated it in favour of
torch.export, but loads it much faster.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genbench.errors import UsageError
from genbench.exporting.format import ExportFormat

METADATA = "genbench.json"
"""The name of the metadata in a torch or torchscript file; in an onnx file it is "genbench"."""

Inputs = tuple[Tensor, ...]


class Writer(Protocol):
    """Writes a network, traced on ``inputs`` of any batch size above 1, with its metadata."""

    def __call__(self, network: nn.Module, inputs: Inputs, path: Path, metadata: str) -> None:
        """Write the file."""


class Runner(Protocol):
    """Runs the network of a file."""

    def __call__(self, path: Path, inputs: Inputs) -> Tensor:
        """Its samples."""


def write_torch(network: nn.Module, inputs: Inputs, path: Path, metadata: str) -> None:
    """An ExportedProgram (.pt2)."""
    program = torch.export.export(network, inputs, dynamic_shapes=_dynamic(inputs))
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={METADATA: metadata})


def run_torch(path: Path, inputs: Inputs) -> Tensor:
    """As `torch.export.load` reads it."""
    with path.open("rb") as file:
        program = torch.export.load(file)
    samples: Tensor = program.module()(*inputs)
    return samples


def write_torchscript(network: nn.Module, inputs: Inputs, path: Path, metadata: str) -> None:
    """A trace, which holds for every batch size if the network never asks for ``len(x)``."""
    trace: Any = torch.jit.trace
    traced = trace(network, inputs, check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={METADATA: metadata})


def run_torchscript(path: Path, inputs: Inputs) -> Tensor:
    """As `torch.jit.load` reads it."""
    load: Any = torch.jit.load
    samples: Tensor = load(str(path))(*inputs)
    return samples


def write_onnx(network: nn.Module, inputs: Inputs, path: Path, metadata: str) -> None:
    """An ONNX model; inputs ``z`` and ``y``, output ``x``, each with a free first dimension."""
    _need_onnx()
    program = torch.onnx.export(
        network,
        inputs,
        dynamo=True,
        verbose=False,
        input_names=["z", "y"][: len(inputs)],
        output_names=["x"],
        dynamic_shapes=_dynamic(inputs),
    )
    assert program is not None, "the exporter returns a program unless it is given a file"
    program.model.metadata_props["genbench"] = metadata
    program.save(path)


def run_onnx(path: Path, inputs: Inputs) -> Tensor:
    """As onnxruntime runs it on the CPU."""
    _need_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is raised, not printed
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in zip(("z", "y"), inputs, strict=False)}
    return torch.from_numpy(session.run(["x"], given)[0])


FORMATS: Mapping[ExportFormat, tuple[Writer, Runner]] = {
    ExportFormat.TORCH: (write_torch, run_torch),
    ExportFormat.ONNX: (write_onnx, run_onnx),
    ExportFormat.TORCHSCRIPT: (write_torchscript, run_torchscript),
}


@contextmanager
def without_exporters_warnings() -> Iterator[None]:
    """Hide what PyTorch's exporters warn of: the age of TorchScript, and Python that is not traced.

    Whether a file draws the right samples is checked by running it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _dynamic(inputs: Inputs) -> Any:
    batch = torch.export.Dim("batch", min=1)
    return tuple({0: batch} for _ in inputs)


def _need_onnx() -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UsageError(
            f"--format onnx needs the package '{error.name}'", hint="pip install 'genbench[onnx]'"
        ) from None
    del onnx, onnxruntime, onnxscript
