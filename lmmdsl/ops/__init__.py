"""The primitive operations, one class each. Modules are listed by hand; there is no scanning."""

from lmmdsl.ops import (
    attention as attention,
    conv as conv,
    embed as embed,
    index as index,
    linear as linear,
    norm as norm,
    pointwise as pointwise,
    rearrange as rearrange,
    rope as rope,
)
