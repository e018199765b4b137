"""Random well-typed models: text of the language that uses its constructs and operations at random sizes.

Every value that a body makes is `[B, T, width]`, so productions can follow one another in any order. Steps that grow
numbers end in `tanh`: what is compared is the compiler, not the rounding of large numbers.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HEAD = """from std.attention import SelfAttention
from std.mlp       import GatedMlp, Mlp
from std.nn        import Conv2d, LayerNorm, Linear, RmsNorm

fn mixed(x: [B, N, W], y: [B, N, W], scale = 0.5) -> [B, N, W] {
  return scale * x + (1 - scale) * y
}

fn halves(x: [*b, W]) -> ([*b, W // 2], [*b, W // 2]) {
  left, right = split(x, parts = 2)
  return left, right
}

fn turned(x: [B, T, W], heads) -> [B, T, W] {
  positions = expand(arange(T), [B, T])
  cos, sin = rotary(positions, dim = W // heads)
  rows = rearrange(x, "b t (h d) -> b h t d", h = heads)
  return rearrange(rotate(rows, cos, sin), "b h t d -> b t (h d)")
}

fn falling(x: [*b, W]) -> [*b, W] {
  values, places = topk(x, k = W)
  return values
}

block Twice(width, act = relu) {
  first:  Linear(width, width)
  second: Linear(width, width, biased = false)

  forward(x: [*b, width], y: [*b, width]) -> [*b, width] {
    expose inner = act(first(x))
    return second(inner) + y
  }
}
"""
BOUNDED = ["relu", "gelu", "silu", "quick_gelu", "tanh", "sigmoid"]
POINTWISE = [*BOUNDED, "sin", "cos", "abs", "square", "softmax", "normalize", "neg"]


@dataclass
class Body:
    """A block under construction."""

    draw: random.Random
    width: int
    heads: int
    parts: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=lambda: ["x"])

    def value(self) -> str:
        """Some value made so far."""
        return self.draw.choice(self.live)

    def part(self, made: str) -> str:
        """Declare a part."""
        name = f"p{len(self.parts)}"
        self.parts.append(f"  {name}: {made}")
        return name

    def add(self, expression: str) -> None:
        """Give an expression a name: a new one, or that of an older value."""
        fresh = self.draw.random() < 0.5
        name = f"v{len(self.lines)}" if fresh else self.value()
        self.lines.append(f"    {name} = {expression}")
        self.live = list(dict.fromkeys([*self.live, name]))


Production = Callable[[Body], str]
PRODUCTIONS: list[Production] = []


def production(make: Production) -> Production:
    """Register a way to make a value."""
    PRODUCTIONS.append(make)
    return make


@production
def pointwise(body: Body) -> str:
    return f"{body.draw.choice(POINTWISE)}({body.value()})"


@production
def arithmetic(body: Body) -> str:
    sign = body.draw.choice(["+", "-", "*"])
    return f"tanh({body.value()} {sign} {body.draw.choice(['0.5', '2', '-1.25'])} {sign} {body.value()})"


@production
def quotient(body: Body) -> str:
    return f"{body.value()} / (1 + {body.value()} ** 2)"


@production
def comparison(body: Body) -> str:
    sign = body.draw.choice([">", "<=", "<", ">="])
    return (
        f"where({body.value()} {sign} 0.03125 and not ({body.value()} > 2), {body.value()}, 0.25)"
    )


@production
def extreme(body: Body) -> str:
    pick = body.draw.choice(["maximum", "minimum"])
    return f"{pick}({body.value()}, clamp({body.value()}, low = -0.5, high = 0.75))"


@production
def linear(body: Body) -> str:
    wide = body.draw.choice([3, 5, 7])
    up, down = (
        body.part(f"Linear({body.width}, {wide})"),
        body.part(f"Linear({wide}, {body.width}, biased = false)"),
    )
    return f"{body.value()} |> {up} |> {body.draw.choice(BOUNDED)} |> {down}"


@production
def norm(body: Body) -> str:
    kind = body.draw.choice(["LayerNorm", "RmsNorm"])
    return f"{body.part(f'{kind}({body.width})')}({body.value()})"


@production
def feed_forward(body: Body) -> str:
    act = body.draw.choice(BOUNDED)
    made = body.draw.choice(
        [f"Mlp({body.width}, 9, {body.width}, act = {act})", f"GatedMlp({body.width}, 6)"]
    )
    return f"{body.value()} + {body.part(made)}({body.value()})"


@production
def attention(body: Body) -> str:
    return f"{body.part(f'SelfAttention({body.width}, {body.heads})')}({body.value()})"


@production
def masked_attention(body: Body) -> str:
    x, y, h = body.value(), body.value(), body.heads
    rows = f'rearrange({y}, "b t (h d) -> b h t d", h = {h})'
    queries = f'rearrange({x}, "b t (h d) -> b h t d", h = {h})'
    causal = body.draw.choice(["true", "false"])
    return (
        f'attend({queries}, {rows}, {rows}, causal = {causal}) |> rearrange("b h t d -> b t (h d)")'
    )


@production
def product(body: Body) -> str:
    x, y = body.value(), body.value()
    return f'softmax({x} @ rearrange({y}, "b t d -> b d t") * 0.125) @ {y}'


@production
def mean(body: Body) -> str:
    kind, axis = body.draw.choice(["mean", "max", "min"]), body.draw.choice(["1", "-1"])
    return f"{body.value()} - {kind}({body.value()}, axis = {axis}, keep = true)"


@production
def swapped(body: Body) -> str:
    return f"concat({body.value()}[:, :, 1:], {body.value()}[:, :, :1], axis = -1)"


@production
def shifted(body: Body) -> str:
    return f"pad({body.value()}, axis = 1, before = 1)[:, :-1]"


@production
def stacked(body: Body) -> str:
    return f"stack({body.value()}, {body.value()}, axis = 1)[:, {body.draw.choice([0, 1])}]"


@production
def running(body: Body) -> str:
    return f"tanh(cumsum({body.value()}, axis = {body.draw.choice(['1', '-1'])}))"


@production
def function(body: Body) -> str:
    return f"mixed({body.value()}, {body.value()}, scale = {body.draw.choice(['0.25', '0.75'])})"


@production
def exposed(body: Body) -> str:
    part = body.part(f"Twice({body.width}, act = {body.draw.choice(BOUNDED)})")
    return f"{part}({body.value()}, y = {body.value()}).inner"


@production
def layers(body: Body) -> str:
    part = body.part(
        f"{body.draw.choice([1, 2, 3])} * Twice({body.width}, act = {body.draw.choice(BOUNDED)})"
    )
    y = body.value()
    every = body.draw.random() < 0.4
    return (
        f"states({part}, {body.value()}, {y})[-2]"
        if every
        else f"tanh({part}({body.value()}, {y}))"
    )


@production
def choice(body: Body) -> str:
    return f"if {body.width} % {body.draw.choice([2, 3])} == 0 then {body.value()} else relu({body.value()})"


@production
def folded(body: Body) -> str:
    rows = f'rearrange({body.value()}, "b t (h d) -> b (t h) d", h = {body.heads})'
    return f'softmax({rows}) |> rearrange("b (t h) d -> b t (h d)", h = {body.heads})'


@production
def convolved(body: Body) -> str:
    channels = body.width // 2
    part = body.part(f"Conv2d({channels}, {channels}, kernel = {body.draw.choice([1, 3])})")
    image = f'rearrange({body.value()}, "b t (c p) -> b c t p", p = 2) |> pad(axis = 2, before = 1, after = 1)'
    size = f'resize2d(height = {body.value()}.shape[1], width = 2, mode = "nearest")'
    made = f"{image} |> pad(axis = 3, before = 1, after = 1) |> {part}"
    return f'{made} |> {size} |> rearrange("b c t p -> b t (c p)")'


@production
def turned(body: Body) -> str:
    return f"turned({body.value()}, {body.heads})"


@production
def falling(body: Body) -> str:
    return f"falling({body.value()})"


@production
def reversed_rows(body: Body) -> str:
    return f"index_select({body.value()}, {body.width - 1} - arange({body.width}), axis = 2)"


@production
def spread(body: Body) -> str:
    return f"{body.value()} * rsqrt(var({body.value()}, axis = -1, keep = true) + 0.5)"


@production
def compile_time_list(body: Body) -> str:
    return f"[k * {body.value()} for k in 1..4 if k != 2][{body.draw.choice(['0', '-1'])}]"


def statements(body: Body, count: int) -> Iterator[str]:
    """Statements that make values, some of them under a loop or a condition."""
    for _ in range(count):
        make = body.draw.choice(PRODUCTIONS)
        body.add(make(body))
        line = body.lines[-1]
        name = line.split(" = ")[0].strip()
        known = name in body.live[:-1]
        if known and body.draw.random() < 0.2:
            yield f"    for k in 0..2 {{\n  {line}\n    }}"
        elif known and body.draw.random() < 0.2:
            truth = body.draw.choice(["true", "false"])
            yield f"    if {truth} {{\n  {line}\n    }} else {{\n      {name} = tanh({name})\n    }}"
        else:
            yield line


def model(seed: int) -> str:
    """The text of a model with one flow `run(x: [B, T, width]) -> [B, T, width]`."""
    draw = random.Random(seed)
    heads = draw.choice([1, 2, 3])
    body = Body(draw, width=heads * draw.choice([2, 4, 6]), heads=heads)
    lines = "\n".join(statements(body, draw.randint(3, 9)))
    parts, width = "\n".join(body.parts), body.width
    result = " + ".join(body.live[-3:])
    return f"""{HEAD}
block Random() {{
{parts}

  forward(x: [B, T, {width}]) -> [B, T, {width}] {{
    left, right = halves(x)
    x = concat(right, left, axis = -1)
{lines}
    return {result}
  }}
}}

model Fuzzed {{
  inner: Random()

  flow run(x: [B, T, {width}]) -> [B, T, {width}] {{
    return inner(x)
  }}
}}
"""
