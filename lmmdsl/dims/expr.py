"""Axis sizes as integer polynomials in normal form.

A `Dim` is a sum of products of atoms with integer coefficients. An atom is a run-time symbol (`B` batch,
`T` tokens, `I` images ...) or a floor division or remainder that does not simplify. Two sizes are equal
exactly when their normal forms are; the derivation (`why`) never takes part in equality.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lmmdsl.text.source import Span

MAX_WEIGHT = 200  # symbols in a size; a real one has a handful
MAX_COEFFICIENT = 2**62


class TooComplex(ArithmeticError):
    """A size has grown beyond what any model needs, or has no value at all."""


@dataclass(frozen=True, slots=True)
class Why:
    """Where a number comes from: `text` says how (`336 // 14 = 24`), `span` where it is written."""

    text: str
    span: Span | None = None
    inputs: tuple["Why", ...] = ()

    def chain(self, limit: int = 6) -> tuple["Why", ...]:
        """The steps that lead to this number, causes first, without repeats, at most `limit`."""
        steps: dict[str, Why] = {}
        for why in self.steps():
            if not why.text.isdigit():  # a bare number explains nothing
                steps.setdefault(why.text, why)
        return tuple(steps.values())[-limit:]

    def steps(self) -> "Iterator[Why]":
        """Everything that leads to this number, causes first, then the number itself; shared causes once."""
        seen: set[int] = set()
        todo = [(self, False)]
        while todo:
            why, done = todo.pop()
            if done:
                yield why
            elif id(why) not in seen:
                seen.add(id(why))
                todo.append((why, True))
                todo += ((cause, False) for cause in reversed(why.inputs))


@dataclass(frozen=True, slots=True)
class Symbol:
    """A size known only when the model runs."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Quotient:
    """Floor division that does not simplify."""

    top: "Dim"
    bottom: "Dim"

    def __str__(self) -> str:
        return f"{_paren(self.top)}//{_paren(self.bottom)}"


@dataclass(frozen=True, slots=True)
class Remainder:
    """Remainder that does not simplify."""

    top: "Dim"
    bottom: "Dim"

    def __str__(self) -> str:
        return f"{_paren(self.top)}%{_paren(self.bottom)}"


Atom = Symbol | Quotient | Remainder
Monomial = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Dim:
    """An axis size. `terms` maps sorted products of atoms to non-zero coefficients."""

    terms: tuple[tuple[Monomial, int], ...]
    why: Why | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(value: "int | Dim", why: Why | None = None) -> "Dim":
        """A constant size (a `Dim` passes through, given `why` where it had none)."""
        if isinstance(value, Dim):
            return replace(value, why=why) if why and not value.why else value
        return Dim((((), value),) if value else (), why)

    @staticmethod
    def symbol(name: str, why: Why | None = None) -> "Dim":
        """A run-time size."""
        return Dim((((Symbol(name),), 1),), why)

    @property
    def is_const(self) -> bool:
        """Whether the size is known at compile time."""
        return not self.terms or (len(self.terms) == 1 and not self.terms[0][0])

    @property
    def value(self) -> int:
        """The constant; only for `is_const` sizes."""
        if not self.is_const:
            raise ValueError(f"{self} is not a constant")
        return self.terms[0][1] if self.terms else 0

    def because(self, why: Why) -> "Dim":
        """The same size with another derivation."""
        return replace(self, why=why)

    def symbols(self) -> frozenset[str]:
        """Names of the run-time symbols the size depends on."""
        names: set[str] = set()
        for atoms, _ in self.terms:
            for atom in atoms:
                if isinstance(atom, Symbol):
                    names.add(atom.name)
                else:
                    names |= atom.top.symbols() | atom.bottom.symbols()
        return frozenset(names)

    def subs(self, sizes: Mapping[str, "Dim"]) -> "Dim":
        """Replace symbols by sizes."""
        if self.is_const:
            return self
        total = ZERO
        for atoms, coefficient in self.terms:
            product = Dim.of(coefficient)
            for atom in atoms:
                product = product * _substitute(atom, sizes)
            total = total + product
        return replace(total, why=total.why or self.why)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The value for given symbol values."""
        return self.subs({name: Dim.of(size) for name, size in sizes.items()}).value

    def __add__(self, other: "int | Dim") -> "Dim":
        other = Dim.of(other)
        if not other.terms or not self.terms:
            return self if not other.terms else other
        terms = dict(self.terms)
        for atoms, coefficient in other.terms:
            terms[atoms] = terms.get(atoms, 0) + coefficient
        return _normal(terms)

    def __neg__(self) -> "Dim":
        return Dim(tuple((atoms, -coefficient) for atoms, coefficient in self.terms))

    def __sub__(self, other: "int | Dim") -> "Dim":
        return self + -Dim.of(other)

    def __mul__(self, other: "int | Dim") -> "Dim":
        other = Dim.of(other)
        if ONE in (self, other):
            return self if other == ONE else other
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in other.terms:
                atoms = tuple(sorted(left + right, key=str))
                terms[atoms] = terms.get(atoms, 0) + a * b
        return _normal(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: int) -> "Dim":
        return Dim.of(other) - self

    def divide(self, other: "int | Dim") -> "Dim | None":
        """Exact quotient, or None when the division leaves a rest or cannot be decided."""
        divisor = Dim.of(other)
        if not divisor.terms:
            return None
        if divisor == ONE:
            return self
        quotient, rest = ZERO, self
        # Long division by the leading term; an exact quotient is found whatever the order of terms.
        while rest.terms:
            step = _over(rest.leading, divisor.leading)
            if step is None:
                return None
            quotient, rest = quotient + step, rest - divisor * step
        return quotient

    @property
    def leading(self) -> "tuple[Monomial, int]":
        """The term of the highest degree (among equals the last by name); only for sizes other than 0."""
        return max(self.terms, key=lambda term: (len(term[0]), [str(atom) for atom in term[0]]))

    def __floordiv__(self, other: "int | Dim") -> "Dim":
        divisor = Dim.of(other)
        if not divisor.terms:
            raise TooComplex("divides by zero")
        exact = self.divide(divisor)
        if exact is not None:
            return exact
        whole, rest = self._split(divisor)
        if rest.is_const and divisor.is_const:
            return whole + rest.value // divisor.value
        return whole + _quotient(rest, divisor)

    def __mod__(self, other: "int | Dim") -> "Dim":
        divisor = Dim.of(other)
        if not divisor.terms:
            raise TooComplex("divides by zero")
        if self.divide(divisor) is not None:
            return ZERO
        _, rest = self._split(divisor)
        if rest.is_const and divisor.is_const:
            return Dim.of(rest.value % divisor.value)
        match rest.terms:
            case (((Remainder(_, bottom),), 1),) if bottom == divisor:
                return rest
        return Dim((((Remainder(rest, divisor),), 1),))

    def _split(self, divisor: "Dim") -> "tuple[Dim, Dim]":
        """For a constant divisor, whole and rest of self = whole * divisor + rest: `14*H + 3` by 14 is H, 3."""
        if not divisor.is_const:
            return ZERO, self
        shares = [(atoms, divmod(coefficient, divisor.value)) for atoms, coefficient in self.terms]
        whole, rest = ({atoms: share[part] for atoms, share in shares} for part in (0, 1))
        return _normal(whole), _normal(rest)

    def __str__(self) -> str:
        return " + ".join(_term(atoms, c) for atoms, c in self.terms).replace("+ -", "- ") or "0"


ZERO = Dim(())
ONE = Dim((((), 1),))


def _over(top: tuple[Monomial, int], bottom: tuple[Monomial, int]) -> Dim | None:
    """One term divided by another, or None."""
    atoms = list(top[0])
    for atom in bottom[0]:
        if atom not in atoms:
            return None
        atoms.remove(atom)
    factor, rest = divmod(top[1], bottom[1])
    return None if rest else Dim(((tuple(atoms), factor),))


def _quotient(top: Dim, bottom: Dim) -> Dim:
    """A floor division that stays; of a division by a number it makes one (`H//2//7` is `H//14`)."""
    inner = next((atoms[0] for atoms, c in top.terms if c == 1 and _is_quotient(atoms)), None)
    if isinstance(inner, Quotient) and bottom.is_const and bottom.value > 0:
        others = top - Dim((((inner,), 1),))
        return (inner.top + others * inner.bottom) // (bottom * inner.bottom)
    return Dim((((Quotient(top, bottom),), 1),))


def _is_quotient(atoms: Monomial) -> bool:
    atom = atoms[0] if len(atoms) == 1 else None
    return isinstance(atom, Quotient) and atom.bottom.is_const and atom.bottom.value > 0


def _normal(terms: dict[Monomial, int]) -> Dim:
    kept = [(atoms, c) for atoms, c in terms.items() if c]
    _bound(kept)
    # Products first, the constant last: `B*T + 1` reads better than `1 + B*T`.
    return Dim(
        tuple(sorted(kept, key=lambda term: (not term[0], [str(a).lstrip("(") for a in term[0]])))
    )


def _bound(terms: Sequence[tuple[Monomial, int]]) -> None:
    """Refuse sizes that only repeated squaring or doubling can give.

    Raises:
        TooComplex: the size has too many symbols or too large a number.
    """
    if any(abs(coefficient) > MAX_COEFFICIENT for _, coefficient in terms):
        raise TooComplex("is larger than 2**62")
    if sum(1 + sum(map(_weight, atoms)) for atoms, _ in terms) > MAX_WEIGHT:
        raise TooComplex(f"depends on run-time sizes in more than {MAX_WEIGHT} places")


def _weight(atom: Atom) -> int:
    if isinstance(atom, Symbol):
        return 1
    parts = (*atom.top.terms, *atom.bottom.terms)
    return 1 + sum(sum(map(_weight, atoms)) for atoms, _ in parts)


def _term(atoms: Monomial, coefficient: int) -> str:
    if not atoms:
        return str(coefficient)
    is_product = len(atoms) > 1 or coefficient != 1
    factors = [f"({a})" if is_product and not isinstance(a, Symbol) else str(a) for a in atoms]
    sign = {1: "", -1: "-"}.get(coefficient, f"{coefficient}*")
    return sign + "*".join(factors)


def _paren(size: Dim) -> str:
    """An operand of `//` or `%`: anything but a symbol or a number of its own stands in parentheses."""
    plain = (size.is_const and size.value >= 0) or str(size).isidentifier()
    return str(size) if plain else f"({size})"


def _substitute(atom: Atom, sizes: Mapping[str, Dim]) -> Dim:
    match atom:
        case Symbol(name):
            return sizes.get(name, Dim((((atom,), 1),)))
        case Quotient(top, bottom):
            return top.subs(sizes) // bottom.subs(sizes)
        case Remainder(top, bottom):
            return top.subs(sizes) % bottom.subs(sizes)
