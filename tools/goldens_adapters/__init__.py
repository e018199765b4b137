"""Adapters: how each system's golden cases are built and run. One file per system, listed here by hand.

An adapter has `accepts(case)`, `build(case)` (the spec at the sizes of the case) and `run(case, runner)` (its
outputs by name, from one backend).
"""

from types import ModuleType

from goldens_adapters import (
    albef,
    blip2,
    clip,
    cogvlm,
    eva,
    ferret,
    flamingo,
    fuyu,
    internlm,
    internlm_xcomposer,
    llama,
    llava,
    minigpt4,
    mplug_owl,
    open_flamingo,
    opt,
    qformer,
    qwen_vl,
    t5,
    visualglm,
)
from goldens_adapters.case import BadCase, Case

ADAPTERS: tuple[ModuleType, ...] = (
    llava,
    clip,
    cogvlm,
    ferret,
    fuyu,
    t5,
    eva,
    llama,
    opt,
    blip2,
    qformer,
    minigpt4,
    mplug_owl,
    internlm,
    internlm_xcomposer,
    qwen_vl,
    flamingo,
    albef,
    visualglm,
    open_flamingo,
)


def find_adapter(case: Case) -> ModuleType:
    """The adapter for a case; raises `BadCase`."""
    for adapter in ADAPTERS:
        if adapter.accepts(case):
            return adapter
    raise BadCase(f"no adapter for part `{case.part}` of `{case.system}`")
