from lmmdsl.diag.model import Diagnostic as Diagnostic
from lmmdsl.driver.api import Spec as Spec
from lmmdsl.driver.api import check as check
from lmmdsl.driver.api import load as load
from lmmdsl.driver.failure import CompileFailed as CompileFailed
from lmmdsl.graph.program import Program as Program

__version__: str
