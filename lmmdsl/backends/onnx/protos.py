"""Protobuf pieces: nodes, tensors, types and attributes, made directly for speed.

Takes plain Python values and `TensorType`s; gives protos. Knows the ONNX element type of each
element kind.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    NodeProto,
    StringStringEntryProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
    ValueInfoProto,
    helper,
)

from lmmdsl.dims.expr import Dim
from lmmdsl.types.tensor import Axis, DType, TensorType

FLOATS: dict[str, int] = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
NUMPY: dict[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.INT64: np.int64,
    TensorProto.BOOL: np.bool_,
}


def element_type(kind: DType, floats: int) -> int:
    """ONNX element type of a kind; `floats` is the one chosen for the model's own precision."""
    match kind:
        case DType.FLOAT:
            return floats
        case DType.INT:
            return TensorProto.INT64
        case DType.BOOL:
            return TensorProto.BOOL


def make_node(
    kind: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    name: str,
    domain: str,
    attributes: Mapping[str, Any],
    notes: Mapping[str, str],
) -> NodeProto:
    """A node; attributes that are None are left out, `notes` become its metadata."""
    node = NodeProto(op_type=kind, input=inputs, output=outputs, name=name, domain=domain)
    node.attribute.extend(
        make_attribute(key, value) for key, value in sorted(attributes.items()) if value is not None
    )
    add_notes(node.metadata_props, notes)
    return node


def make_attribute(name: str, value: Any) -> AttributeProto:
    """An attribute; numbers and text directly, everything else through onnx's own conversion."""
    match value:
        case bool() | int():
            return AttributeProto(name=name, type=AttributeProto.INT, i=int(value))
        case float():
            return AttributeProto(name=name, type=AttributeProto.FLOAT, f=value)
        case str():
            return AttributeProto(name=name, type=AttributeProto.STRING, s=value.encode())
        case TensorProto():
            return AttributeProto(name=name, type=AttributeProto.TENSOR, t=value)
        case _:
            return helper.make_attribute(name, value)


def add_notes(props: Any, notes: Mapping[str, str]) -> None:
    """Append metadata entries to a `metadata_props` field."""
    props.extend(StringStringEntryProto(key=key, value=value) for key, value in notes.items())


def make_tensor(name: str, array: "np.ndarray[Any, Any]", element: int) -> TensorProto:
    """A small tensor stored inside the graph."""
    data = np.ascontiguousarray(array, NUMPY[element]).tobytes()
    return TensorProto(name=name, data_type=element, dims=array.shape, raw_data=data)


def make_external(
    name: str, element: int, shape: Sequence[int], *, location: str, offset: int, length: int
) -> TensorProto:
    """A tensor whose bytes lie in the file `location` beside the model."""
    place = TensorProto.EXTERNAL
    tensor = TensorProto(name=name, data_type=element, dims=shape, data_location=place)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.append(StringStringEntryProto(key=key, value=value))
    return tensor


def make_value(name: str, kind: TensorType, floats: int) -> ValueInfoProto:
    """A typed value; run-time sizes become named axes."""
    shape = TensorShapeProto(dim=[_axis(axis) for axis in kind.shape])
    tensor = TypeProto.Tensor(elem_type=element_type(kind.dtype, floats), shape=shape)
    return ValueInfoProto(name=name, type=TypeProto(tensor_type=tensor))


def _axis(axis: Axis) -> TensorShapeProto.Dimension:
    if isinstance(axis, Dim) and axis.is_const:
        return TensorShapeProto.Dimension(dim_value=axis.value)
    return TensorShapeProto.Dimension(dim_param=str(axis))
