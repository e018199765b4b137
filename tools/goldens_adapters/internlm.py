"""InternLM-7B alone: LLaMA's blocks with biases in attention, and adapters where a case has them."""

import lmmdsl
from goldens_adapters.case import Case
from goldens_adapters.flows import read_text
from goldens_adapters.lora import injection
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, demand, llama_settings

NAME = "internlm"


def accepts(case: Case) -> bool:
    """Whether a case is about this LLM."""
    return case.part == "llm" and case.config("llm").get("kind") == "internlm"


def build(case: Case) -> lmmdsl.Spec:
    """A model that is the LLM."""
    llm = case.config("llm")
    demand(llm, mlp_bias=False)
    biased = bool(llm.get("attn_bias", True))
    settings = llama_settings(llm) | {"qkv_biased": biased, "out_biased": biased}
    adapters = injection(llm.get("lora"))
    text = f"""from std.llm.llama import Llama
{"from std.lora import Lora" if adapters else ""}

model Golden {{
  llm llm: Llama({arguments(settings)})
{adapters}
  weights hf "golden/case" {{ llm = "internlm_model" | "" }}
}}
"""
    return compile_text(text, {})


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    depth = case.config("llm")["depth"]
    taps = {"final_hidden": "llm"} | {f"layer_{k}": f"llm.layers.{k}" for k in range(depth)}
    return read_text(case, case.inputs["input_ids"], runner, taps)
