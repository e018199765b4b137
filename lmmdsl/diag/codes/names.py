"""E02: names, imports and definitions."""

from lmmdsl.diag.model import Label, Located, Severity, Suggestion, diagnostic
from lmmdsl.diag.suggest import did_you_mean, nearest, respell
from lmmdsl.text.source import Span


@diagnostic("E0201", "unknown-name", "a name is not defined")
class UnknownName(Located):
    """A name is used that nothing in reach defines.

    Names come from imports, from the block's parameters and parts, from values above the line, and
    from the operations that the compiler knows. Nothing is guessed: a misspelt name is an error,
    never a new default.

    Wrong:
        connector proj: Mlp(in = visoin.width, out = llm.width)
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
    """

    name: str
    candidates: tuple[str, ...] = ()
    hint: str = ""

    def message(self) -> str:
        """Name it."""
        return f"nothing is called `{self.name}` here"

    def helps(self) -> tuple[str, ...]:
        """Offer near names; the list of all that are known would be long."""
        near = nearest(self.name, self.candidates)
        if near:
            return did_you_mean(self.at, self.name, near)
        return (self.hint,) if self.hint else ()

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near name."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0202", "duplicate-name", "a name is defined twice")
class DuplicateName(Located):
    """Two definitions in one place have the same name.

    Values inside a method may be assigned again (`x = x + attn(x)`); parts, parameters, blocks,
    layouts, stages and variants may not, because other lines refer to them by name.

    Wrong:
        norm: LayerNorm(width)
        norm: LayerNorm(mlp_width)
    Right:
        norm1: LayerNorm(width)
        norm2: LayerNorm(mlp_width)
    """

    name: str
    first: Span

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is defined twice"

    def here(self) -> str:
        """Mark the second."""
        return "second definition"

    def labels(self) -> tuple[Label, ...]:
        """Mark the first."""
        return (Label(self.first, "first definition"),)


@diagnostic("E0203", "module-not-found", "an import names no module")
class ModuleNotFound(Located):
    """An import names a module that does not exist.

    `from a.b import C` looks for `a/b.lmm` in the folder of the spec, and for `std` in the
    standard library.

    Wrong:
        from std.vision.clipp import ClipVit
    Right:
        from std.vision.clip import ClipVit
    """

    module: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"there is no module `{self.module}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near modules, else those of the same library."""
        library = self.module.split(".")[0] + "."
        near = nearest(self.module, self.candidates)
        known = near or [c for c in self.candidates if c.startswith(library)]
        if not known:
            return (f"looked for `{self.module.replace('.', '/')}.lmm` beside this file",)
        return did_you_mean(self.at, self.module, known)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near module."""
        return respell(self.at, self.module, self.candidates)


@diagnostic("E0204", "not-in-module", "an imported name is not in the module")
class NotInModule(Located):
    """The module exists, but defines no block or function of this name.

    A module gives the blocks and functions that it defines itself; what it imports stays its own.

    Wrong:
        from std.connector.mlp import MLP
    Right:
        from std.connector.mlp import Mlp
    """

    module: str
    name: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name both."""
        return f"module `{self.module}` defines no `{self.name}`"

    def helps(self) -> tuple[str, ...]:
        """Offer what it does define."""
        return did_you_mean(self.at, self.name, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near name."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0205", "import-cycle", "modules import each other in a circle")
class ImportCycle(Located):
    """A module imports itself, directly or through others.

    Put what both need into a third module and import that from each.

    Wrong:
        # a.lmm
        from b import B
        # b.lmm
        from a import A
    Right:
        # a.lmm and b.lmm
        from shared import Shared
    """

    chain: tuple[str, ...]

    def message(self) -> str:
        """Spell the circle out."""
        return f"modules import each other: {' -> '.join(self.chain)}"

    def helps(self) -> tuple[str, ...]:
        """Say how to break it."""
        return ("move what both need into a module of its own",)


@diagnostic("E0206", "unknown-member", "a part or parameter is not a member")
class UnknownMember(Located):
    """`owner.name` asks for something that the owner does not have.

    A part has the parameters of its block (`vision.width`), its own parts (`llm.layers`), its
    methods and what its last call exposes (`vision.hidden`).

    Wrong:
        connector proj: Mlp(in = vision.widht, out = llm.width)
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
    """

    owner: str
    name: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name both."""
        owner = self.owner if "`" in self.owner or " " in self.owner else f"`{self.owner}`"
        return f"{owner} has no member `{self.name}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near members."""
        return did_you_mean(self.at, self.name, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near member."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0207", "circular-definition", "a definition needs itself")
class CircularDefinition(Located):
    """A value, a part or a block is defined in terms of itself.

    Give one of the members of the circle as a number.

    Wrong:
        connector proj: Mlp(in = vision.width, out = llm.width)
        llm llm: Decoder(width = proj.out)
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
        llm llm: Decoder(width = 4096)
    """

    chain: tuple[str, ...]

    def message(self) -> str:
        """Spell the circle out."""
        return f"the definition needs itself: {' -> '.join(self.chain)}"

    def here(self) -> str:
        """Say what is needed again."""
        return f"this needs `{self.chain[-1]}` again" if self.chain else ""

    def helps(self) -> tuple[str, ...]:
        """Say how to break it."""
        return ("write one of them as a number",)


@diagnostic("E0208", "shadowed-part", "a value hides a part")
class ShadowedPart(Located):
    """A value takes the name of a part, so that the part could not be called any more.

    Wrong:
        norm: LayerNorm(width)
        forward(x: [*b, width]) -> [*b, width] { norm = norm(x)  return norm }
    Right:
        norm: LayerNorm(width)
        forward(x: [*b, width]) -> [*b, width] { y = norm(x)  return y }
    """

    name: str
    first: Span

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is a part and cannot be assigned"

    def labels(self) -> tuple[Label, ...]:
        """Mark the part."""
        return (Label(self.first, f"the part `{self.name}` is declared here"),)

    def helps(self) -> tuple[str, ...]:
        """Say what to do."""
        return ("give the value another name",)


@diagnostic("E0209", "unknown-role", "a part has an unknown role")
class UnknownRole(Located):
    """The word before a part of a model says what the part is for.

    Roles are `encoder` (images to features), `connector` (features to the width of the LLM) and
    `llm`; a part without a role is just a part. Selectors, stages, pictures and checks of the
    layout rely on them.

    Wrong:
        projector proj: Mlp(in = vision.width, out = llm.width)
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
    """

    name: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is not a role"

    def helps(self) -> tuple[str, ...]:
        """Offer the roles."""
        return did_you_mean(self.at, self.name, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near role."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0210", "path-outside", "an import leaves the folder of the spec")
class PathOutside(Located):
    """A spec reads only files of its own folder, folders below it, and the standard library.

    Specs come from strangers; one that reaches elsewhere (also through a symbolic link) is refused.
    Copy the module beside the spec instead.

    Wrong:
        from shared_link.blocks import Layer      # shared_link points out of the folder
    Right:
        from blocks import Layer
    """

    module: str

    def message(self) -> str:
        """Name it."""
        return f"module `{self.module}` lies outside the folder of the spec"

    def helps(self) -> tuple[str, ...]:
        """Say what to do."""
        return ("copy the module beside the spec",)


@diagnostic("W0211", "unused-import", "an import is not used", Severity.WARNING)
class UnusedImport(Located):
    """A name is imported and never used.

    Wrong:
        from std.connector.mlp import Mlp, Linear      # Linear is used nowhere
    Right:
        from std.connector.mlp import Mlp
    """

    name: str

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is imported but not used"


@diagnostic("E0212", "no-model", "the file defines no model")
class NoModel(Located):
    """The command needs a model, and the file defines blocks only.

    `check` and `fmt` accept a module of blocks; everything else wants a file with one `model`.

    Wrong:
        block Layer(width) { ... }
    Right:
        from layers import Layer
        model Mine { ... }
    """

    def helps(self) -> tuple[str, ...]:
        """Say what is missing."""
        return ("add `model Name { ... }`, or name the file that has it",)


@diagnostic("E0213", "second-model", "the file defines more than one model")
class SecondModel(Located):
    """One file describes one model. Sizes of the same model are variants.

    Wrong:
        model Small { ... }
        model Large { ... }
    Right:
        model Mine { ... variant large { llm.width = 5120 } }
    """

    name: str
    first: Span

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is the second model of the file"

    def labels(self) -> tuple[Label, ...]:
        """Mark the first."""
        return (Label(self.first, "first model"),)

    def helps(self) -> tuple[str, ...]:
        """Point at variants."""
        return ("write sizes of one model as variants, other models in their own files",)


@diagnostic("E0214", "role-missing", "a model lacks a part that its sections need")
class RoleMissing(Located):
    """A section of the model speaks of a role that no part has.

    A `layout` needs an `llm` whose input it describes; `<image = ...>` needs an `encoder`.

    Wrong:
        model Mine { layout chat { "USER: " {question} } }
    Right:
        model Mine { llm llm: Decoder(...)  layout chat { "USER: " {question} } }
    """

    section: str
    role: str

    def message(self) -> str:
        """Name both."""
        return f"the {self.section} needs a part with the role `{self.role}`"

    def helps(self) -> tuple[str, ...]:
        """Show the declaration."""
        return (f"declare one: `{self.role} name: Block(...)`",)
