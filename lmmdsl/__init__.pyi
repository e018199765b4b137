from lmmdsl.diag.model import Diagnostic as Diagnostic
from lmmdsl.driver.api import Spec as Spec
from lmmdsl.driver.api import check as check
from lmmdsl.driver.api import load as load
from lmmdsl.driver.api import verify as verify
from lmmdsl.driver.failure import CompileFailed as CompileFailed
from lmmdsl.driver.products import load_weights as load_weights
from lmmdsl.driver.products import save_weights as save_weights
from lmmdsl.graph.program import Program as Program

__version__: str
