"""The primitive operations, one class each. Modules are listed by hand; there is no scanning."""

from lmmdsl.ops import (
    attention as attention,
)
from lmmdsl.ops import (
    conv as conv,
)
from lmmdsl.ops import (
    embed as embed,
)
from lmmdsl.ops import (
    index as index,
)
from lmmdsl.ops import (
    linear as linear,
)
from lmmdsl.ops import (
    norm as norm,
)
from lmmdsl.ops import (
    pointwise as pointwise,
)
from lmmdsl.ops import (
    rearrange as rearrange,
)
from lmmdsl.ops import (
    rope as rope,
)
