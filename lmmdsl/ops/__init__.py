"""The primitive operations, one class each. Modules are listed by hand; there is no scanning."""

from lmmdsl.ops import (
    arithmetic as arithmetic,
)
from lmmdsl.ops import (
    attention as attention,
)
from lmmdsl.ops import (
    conv as conv,
)
from lmmdsl.ops import (
    create as create,
)
from lmmdsl.ops import (
    embed as embed,
)
from lmmdsl.ops import (
    image as image,
)
from lmmdsl.ops import (
    index as index,
)
from lmmdsl.ops import (
    join as join,
)
from lmmdsl.ops import (
    linear as linear,
)
from lmmdsl.ops import (
    norm as norm,
)
from lmmdsl.ops import (
    points as points,
)
from lmmdsl.ops import (
    position as position,
)
from lmmdsl.ops import (
    rearrange as rearrange,
)
from lmmdsl.ops import (
    reduce as reduce,
)
from lmmdsl.ops import (
    rope as rope,
)
from lmmdsl.ops import (
    splice as splice,
)
from lmmdsl.ops import (
    unary as unary,
)
