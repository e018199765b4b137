"""Write specs/README.md and its pictures: what the models of this folder are, from the specs alone.

Every line comes from a spec or from a report about it: the table of `lmmc compare`, one section per model with its
picture, and its variants.

    python tools/specs_page.py           write them
    python tools/specs_page.py --check   exit 1 if the page or a picture is stale
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lmmdsl
from lmmdsl.backends.report.compare import Comparison, Row, compare
from lmmdsl.backends.report.table import Table
from lmmdsl.backends.report.trace import trace
from lmmdsl.backends.report.write import markdown
from lmmdsl.diag.sink import Sink
from lmmdsl.driver.api import Spec
from lmmdsl.syntax import ast
from lmmdsl.syntax.parse import parse_module
from lmmdsl.text.amount import short
from lmmdsl.text.source import SourceFile

FOLDER = Path(__file__).resolve().parents[1] / "specs"
PAGE = FOLDER / "README.md"
PICTURES = "pictures"
HEAD = """# The models of this folder

Made by `tools/specs_page.py` from the specs: do not edit. The table is that of `lmmc compare specs/*.lmm --format md`;
the pictures are those of `lmmc draw`. A component is named as it was published, and in parentheses stands the block
that it is built from, with its sizes; `depth 23 of 24` means that no result needs the last layer. Each spec has a
variant per published size, and `tiny`, the same structure in small. `std/` is the library of blocks that the specs are
made of.
"""


@dataclass(frozen=True)
class Model:
    """A spec, and its variants but `tiny`."""

    name: str
    spec: Spec
    variants: tuple[Spec, ...]

    @property
    def dot(self) -> str:
        """Its picture as text."""
        return self.spec.draw(level="model").dot

    @property
    def mark(self) -> str:
        """What tells whether the picture is that of the spec."""
        return hashlib.sha256(self.dot.encode()).hexdigest()[:16]


def models() -> list[Model]:
    """Every spec of the folder."""
    return [_model(path) for path in sorted(FOLDER.glob("*.lmm"))]


def _model(path: Path) -> Model:
    names = [name for name in variant_names(path) if name != "tiny"]
    found = tuple(lmmdsl.load(path, variant=name) for name in names)
    return Model(path.stem, lmmdsl.load(path), found)


def variant_names(path: Path) -> list[str]:
    """Names of a spec's variants, in source order."""
    module = parse_module(SourceFile(path.name, path.read_text(encoding="utf-8")), Sink())
    items = (item for block in module.blocks for item in block.items)
    return [item.name for item in items if isinstance(item, ast.Variant)]


def page(found: list[Model]) -> str:
    """The whole page."""
    table = compare([model.spec.program for model in found])
    return "\n".join([HEAD, markdown(table), *map(_section, found)])


def _section(model: Model) -> str:
    program = model.spec.program
    lines = [f"## [{program.name}]({model.name}.lmm)", "", program.doc.strip(), ""]
    lines += [f"![{program.name}]({PICTURES}/{model.name}.svg)<!-- {model.mark} -->", ""]
    if model.variants:
        rows = compare([spec.program for spec in model.variants])
        lines += [_variants(model.name, rows), ""]
    if all(role.kind == "part" for role in program.roles):  # small enough to be followed by hand
        lines += [_trace(model.spec), ""]
    return "\n".join(lines)


def _trace(spec: Spec) -> str:
    """The shape of every value, without the lines that they come from."""
    whole = trace(spec.program).tables()[0]
    rows = tuple(row[:3] for row in whole.rows)
    return Table(f"Trace of {spec.program.name}", whole.columns[:3], rows).markdown()


def _variants(name: str, rows: Comparison) -> str:
    columns = ("variant", "encoder", "image", "tokens / image", "connector", "LLM", "total")
    cells = tuple(_cells(row) for row in rows.rows)
    return Table(f"Variants of {name}.lmm", columns, cells, frozenset({3, 6})).markdown()


def _cells(row: Row) -> tuple[str, ...]:
    variant = row.model.partition(" ")[2]
    sizes = (row.resolution, row.tokens_per_image or "-")
    return (variant, row.encoder, *sizes, row.connector, row.llm, short(row.total))


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    found = models()
    text = page(found)
    if args.check:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        fresh &= all((FOLDER / PICTURES / f"{model.name}.svg").exists() for model in found)
        sys.exit(not fresh)
    PAGE.write_text(text, encoding="utf-8")
    (FOLDER / PICTURES).mkdir(exist_ok=True)
    for model in found:
        model.spec.draw(level="model").save(FOLDER / PICTURES / f"{model.name}.svg")


if __name__ == "__main__":
    main()
