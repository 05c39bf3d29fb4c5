"""A scoring model as an ONNX graph that takes raw values and scales, codes and scores them itself.

Two inputs: ``numbers``, float64, one column a numeric variable, NaN where unknown; ``codes``, int64, one
column a variable with levels, -1 where unknown, else the index of the level in the data dictionary. One
output, ``prediction``, float64. The graph is written node by node from the public numbers, so one model has
one file whatever made it, and any ONNX runtime scores with it, without this program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fedvalue.study.cohort import NOT_TESTED, Variable
from fedvalue.study.scoring import Column, ScoringModel

if TYPE_CHECKING:
    import onnx

OPSET, IR = 17, 8
"""Versions of the operators and of the file that every runtime of the last years reads."""


def onnx_bytes(model: ScoringModel, variables: Mapping[str, Variable], *, name: str) -> bytes:
    """Return the ONNX file of a model; the same model gives the same bytes.

    Args:
      model: Its public numbers.
      variables: The data dictionary.
      name: Of the graph.

    Raises:
      ModuleNotFoundError: the package ``onnx`` is not installed; the extra ``train`` brings it.
    """
    import onnx

    graph = _Graph(onnx)
    reads = {
        "numbers": [v for v in model.variables if variables[v].clip is not None],
        "codes": [v for v in model.variables if variables[v].clip is None],
    }
    parts, order = _columns(graph, model, variables, reads)
    flowing = rows = graph.add("Concat", parts, axis=1) if len(parts) > 1 else parts[0]
    for i, (weights, biases) in enumerate(model.layers):
        arranged = weights[:, order] if not i else weights
        if model.skip and i == len(model.hidden):
            inner = model.hidden[-1]
            arranged = np.hstack([weights[:, :inner], weights[:, inner:][:, order]])
            flowing = graph.add("Concat", [flowing, rows], axis=1)
        flowing = graph.add("Gemm", [flowing, graph.constant(arranged), graph.constant(biases)], transB=1)
        if i < len(model.hidden):
            flowing = _activated(graph, flowing, model.activation)
    _output(graph, flowing, model)
    helper = onnx.helper
    inputs = [
        helper.make_tensor_value_info(one, kind, ["patients", len(names)])
        for one, names, kind in (
            ("numbers", reads["numbers"], onnx.TensorProto.DOUBLE),
            ("codes", reads["codes"], onnx.TensorProto.INT64),
        )
        if names
    ]
    output = helper.make_tensor_value_info("prediction", onnx.TensorProto.DOUBLE, ["patients"])
    made = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, [output], graph.constants),
        producer_name="fedvalue",
        ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    dictionary = {
        "numbers": reads["numbers"],
        "codes": {v: list(variables[v].levels) for v in reads["codes"]},
        "link": model.link,
    }
    helper.set_model_props(made, {"fedvalue": json.dumps(dictionary, ensure_ascii=False, sort_keys=True)})
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


@dataclass(slots=True)
class _Graph:
    """Nodes and constants so far; names are counted."""

    onnx: Any
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], out: str = "", **attributes: Any) -> str:
        out = out or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [out], name=out, **attributes))
        return out

    def constant(self, values: Any, kind: Any = np.float64) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name


def _columns(
    graph: _Graph, model: ScoringModel, variables: Mapping[str, Variable], reads: dict[str, list[str]]
) -> tuple[list[str], list[int]]:
    """Return pieces of the rows, and for each of their columns its place among the model's."""
    kinds: dict[str, list[int]] = {"value": [], "number unknown": [], "level": [], "code unknown": []}
    found, order = [], []
    for i, column in enumerate(model.columns):
        number = variables[column.variable].clip is not None
        if column.unseen:
            found.append(_unseen(graph, column, variables, reads["codes"]))
            order.append(i)
        elif column.unknown:
            kinds["number unknown" if number else "code unknown"].append(i)
        else:
            kinds["value" if number else "level"].append(i)
    for kind, places in kinds.items():
        if not places:
            continue
        columns = [model.columns[i] for i in places]
        source = "numbers" if kind in ("value", "number unknown") else "codes"
        at = graph.constant([reads[source].index(c.variable) for c in columns], np.int64)
        taken = graph.add("Gather", [source, at], axis=1)
        found.append(_piece(graph, kind, taken, columns, model.reach, variables))
        order += places
    return found, order


def _unseen(graph: _Graph, column: Column, variables: Mapping[str, Variable], codes: list[str]) -> str:
    """Return whether nobody looked: the product over the variables of not being any tested level."""
    found = ""
    for name in (column.variable, *column.also):
        levels = variables[name].levels
        tested = [i for i, level in enumerate(levels) if level != NOT_TESTED]
        taken = graph.add("Gather", ["codes", graph.constant([codes.index(name)], np.int64)], axis=1)
        hits = graph.add("Equal", [taken, graph.constant(tested, np.int64)])
        whole = graph.add(
            "ReduceSum",
            [graph.add("Cast", [hits], to=graph.onnx.TensorProto.DOUBLE), graph.constant([1], np.int64)],
            keepdims=1,
        )
        none = graph.add("Sub", [graph.constant(1.0), whole])
        found = graph.add("Mul", [found, none]) if found else none
    return found


def _piece(
    graph: _Graph,
    kind: str,
    taken: str,
    columns: list[Column],
    reach: float,
    variables: Mapping[str, Variable],
) -> str:
    double = graph.onnx.TensorProto.DOUBLE
    if kind == "level":
        wanted = [variables[c.variable].levels.index(c.level or "") for c in columns]
        return graph.add("Cast", [graph.add("Equal", [taken, graph.constant(wanted, np.int64)])], to=double)
    if kind == "code unknown":
        many = [len(variables[c.variable].levels) for c in columns]
        below = graph.add("Less", [taken, graph.constant(0, np.int64)])
        above = graph.add("GreaterOrEqual", [taken, graph.constant(many, np.int64)])
        return graph.add("Cast", [graph.add("Or", [below, above])], to=double)
    # NaN and both infinities are unknown; IsInf takes no doubles in every runtime, so x - x tells
    unknown = graph.add("IsNaN", [graph.add("Sub", [taken, taken])])
    if kind == "number unknown":
        return graph.add("Cast", [unknown], to=double)
    low, high = zip(*(variables[c.variable].clip or (0.0, 0.0) for c in columns), strict=True)
    centers = graph.constant([c.center for c in columns])
    known = graph.add("Where", [unknown, centers, taken])
    inside = graph.add("Min", [graph.add("Max", [known, graph.constant(low)]), graph.constant(high)])
    scaled = graph.add(
        "Div", [graph.add("Sub", [inside, centers]), graph.constant([c.scale for c in columns])]
    )
    if reach:
        scaled = graph.add("Min", [graph.add("Max", [scaled, graph.constant(-reach)]), graph.constant(reach)])
    return graph.add("Where", [unknown, graph.constant(0.0), scaled])


def _activated(graph: _Graph, flowing: str, activation: str) -> str:
    if activation == "silu":
        return graph.add("Mul", [flowing, graph.add("Sigmoid", [flowing])])
    return graph.add("Relu" if activation == "relu" else "Tanh", [flowing])


def _output(graph: _Graph, flowing: str, model: ScoringModel) -> None:
    axis = graph.constant([1], np.int64)
    if model.timed:
        # -log(1 - h) is softplus(z) for the logistic link and exp(z) for the complementary log-log one;
        # softplus(z) = max(z, 0) + log(1 + exp(-|z|)), which no z overflows
        if model.link == "hazard":
            smaller = graph.add("Exp", [graph.add("Neg", [graph.add("Abs", [flowing])])])
            rest = graph.add("Log", [graph.add("Add", [smaller, graph.constant(1.0)])])
            each = graph.add("Add", [graph.add("Relu", [flowing]), rest])
        else:
            each = graph.add("Exp", [flowing])
        whole = graph.add("ReduceSum", [each, axis], keepdims=0)
        kept = graph.add("Exp", [graph.add("Neg", [whole])])
        graph.add("Sub", [graph.constant(1.0), kept], "prediction")
        return
    found = graph.add("Squeeze", [flowing, axis])
    if model.link == "logistic":
        graph.add("Sigmoid", [found], "prediction")
        return
    if model.link == "log":
        found = graph.add("Exp", [found])
    low, high = model.amounts or (-np.inf, np.inf)
    graph.add("Min", [graph.add("Max", [found, graph.constant(low)]), graph.constant(high)], "prediction")
