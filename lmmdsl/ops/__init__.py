"""The primitive operations, one class each. Modules are listed by hand; there is no scanning."""

from lmmdsl.ops import (
    arithmetic as arithmetic,
    attention as attention,
    conv as conv,
    create as create,
    embed as embed,
    image as image,
    index as index,
    join as join,
    linear as linear,
    norm as norm,
    position as position,
    rearrange as rearrange,
    reduce as reduce,
    rope as rope,
    splice as splice,
    unary as unary,
)
