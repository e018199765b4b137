"""Numbers as people read them: short amounts, sizes in bytes, shares."""

_SCALES = ((10**12, " T"), (10**9, " B"), (10**6, " M"), (10**3, " k"))
_BINARY = ((2**40, " TiB"), (2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"))


def short(amount: int) -> str:
    """Write an amount with about three digits: `13.0 B`, `291 M`, `577`."""
    return _scaled(amount, _SCALES) or str(amount)


def short_bytes(size: int) -> str:
    """Write a size with about three digits: `512 KiB`."""
    return _scaled(size, _BINARY) or f"{size} B"


def short_operations(count: int) -> str:
    """Write floating-point operations: `8.50 TFLOP`."""
    scaled = _scaled(count, tuple((unit, name.replace("B", "G")) for unit, name in _SCALES))
    return f"{scaled or f'{count} '}FLOP"


def exact(amount: int) -> str:
    """Write every digit: `7,062,902,784`."""
    return f"{amount:,}"


def share(part: int, whole: int) -> str:
    """Write a share in percent: `0.30 %`, `96 %`; an amount that is there never reads as zero."""
    if not part or not whole:
        return "0 %"
    percent = 100 * part / whole
    if part == whole:
        return "100 %"
    digits = 0 if 10 <= percent < 99.5 else 2
    return f"{max(percent, 0.01):.{digits}f} %"


def _scaled(amount: int, scales: tuple[tuple[int, str], ...]) -> str:
    for unit, name in scales:
        if amount >= unit:
            value = amount / unit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{name}"
    return ""
