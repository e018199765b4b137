"""Every diagnostic of the compiler, one class per code, one module per area."""

from lmmdsl.diag.codes import (
    emit,
    facts,
    inject,
    layout,
    names,
    naming,
    project,
    sequence,
    shapes,
    syntax,
    types,
    weights,
)

AREAS = (
    project, syntax, names, types, shapes, layout, sequence, facts, inject, weights, naming, emit
)  # fmt: skip
