"""A whole checked model: the instance tree and everything the spec says around it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, NamingRule
from lmmdsl.text.source import SourceFile, Span


@dataclass(frozen=True, slots=True)
class Role:
    """What a top-level part is for: `encoder`, `connector`, `llm` or `part`; `title` is its published name, if any."""

    kind: str
    part: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text of a layout."""

    text: str


@dataclass(frozen=True, slots=True)
class Token:
    """A named token of the vocabulary."""

    name: str
    id: int


@dataclass(frozen=True, slots=True)
class Image:
    """A visual span: `tokens` positions per image, each written as the placeholder `token`.

    Where the value is a `grid` of rows and columns, every row ends with one more token, `row_end`.
    """

    token: Token
    tokens: Dim
    value: str  # the model value that fills it, as written
    grid: tuple[Dim, Dim] | None = None
    row_end: Token | None = None

    @property
    def filled(self) -> Dim:
        """Positions per image that visual rows fill."""
        return self.tokens if self.grid is None else self.grid[0] * self.grid[1]


@dataclass(frozen=True, slots=True)
class Slot:
    """User or model text; `loss` marks the text that is trained on, `limit` bounds its tokens if given."""

    name: str
    loss: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Where the prompt that an encoder reads ends, and the decoder's answer begins."""


@dataclass(frozen=True, slots=True)
class Group:
    """Segments that may repeat any number of times."""

    segments: "tuple[Segment, ...]"


Segment = Text | Token | Image | Slot | Turn | Group


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of segments in the LLM's input sequence."""

    name: str
    segments: tuple[Segment, ...]
    span: Span


def flat(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Segments without their groups, in order."""
    for segment in segments:
        if isinstance(segment, Group):
            yield from flat(segment.segments)
        else:
            yield segment


@dataclass(frozen=True, slots=True)
class Vocab:
    """Named tokens and the number of embedding rows (None where the model has no LLM)."""

    rows: int | None
    tokens: Mapping[str, int]
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class LoraRule:
    """Low-rank adapters of a stage: on which linear parts, and their size."""

    paths: tuple[str, ...]
    rank: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One training stage: paths of the parts that train (everything else is frozen)."""

    name: str
    train: tuple[str, ...]
    lora: tuple[LoraRule, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Woven:
    """An injection that was woven: what it adds, and where.

    Attributes:
        verb: before, after, around, beside or replace.
        what: names of the blocks or parts that it adds.
        selector: where, as it was written, but with numbers for their names.
        paths: what the selector matched.
        token: the kind of tokens that it serves, "" for all.
        values: names of the model's values that it reads.
        seen: the token that stands for an image, where it says which image a token sees.
        handed: names of what flows hand down to it.
    """

    verb: str
    what: str
    selector: str
    paths: tuple[str, ...]
    token: str = ""
    values: tuple[str, ...] = ()
    seen: str = ""
    handed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """A published checkpoint layout: `scheme` is its name in `naming`, `rules` map the model's top-level parts."""

    scheme: str
    repository: str
    rules: tuple[NamingRule, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class Program:
    """A checked model.

    `root` is the model itself, as a definition whose methods are its components. A model with images, a layout and an
    LLM has `encode(pixel_values) -> features`, `embed(input_ids, features) -> inputs_embeds` and
    `decode(inputs_embeds, position_ids, attention_mask) -> hidden`, `logits(hidden)`; explicit flows are methods too.
    What decoding is told of tokens, beside running positions, is worked out by `arrange(input_ids, attention_mask)`;
    `prefix` is the token before whose first place all tokens see each other.
    `full` is the tree with every declared part; `root` holds only those that the methods use.
    """

    name: str
    doc: str
    file: SourceFile
    source: str
    root: Definition
    full: Definition
    roles: tuple[Role, ...]
    vocab: Vocab
    layouts: tuple[Layout, ...] = ()
    stages: tuple[Stage, ...] = ()
    weights: tuple[Weights, ...] = ()
    injections: tuple[Woven, ...] = ()
    preprocess: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    context: int | None = None
    prefix: str | None = None
    variant: str | None = None
    spec_hash: str = ""

    def role(self, kind: str) -> str | None:
        """Name of the first part with this role."""
        return next((role.part for role in self.roles if role.kind == kind), None)
