"""InternLM-XComposer-VL: its encoder and its connector alone, and the whole spec at the sizes of the case.

Axes: I images, B batch, T tokens.
"""

from typing import Any

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Case
from goldens_adapters.eva import eva_settings
from goldens_adapters.flows import FLOW, add_flow, flow_text, images_of, inputs_of, read_text, shown
from goldens_adapters.lora import with_adapters
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.qformer import qformer_settings
from goldens_adapters.words import arguments, demand, has_rest, llama_settings

NAME = "internlm_xcomposer"
FEATURES = {
    "vision_features": "vision(pixel_values)",
    "query_output": "pixel_values |> vision |> norm |> qformer",
}
SOURCES = {"encoder": "pixel_values", "connector": "encoder_features"}


def accepts(case: Case) -> bool:
    """Whether a case is about InternLM-XComposer-VL or one of its parts."""
    return case.system == "internlm_xcomposer" and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The part of the case as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    if case.part != "model":
        return runner.flow(FLOW, inputs_of(case, SOURCES[case.part]))
    depth, images = case.config("llm")["depth"], images_of(case)
    taps = {f"layer_{k}": f"llm.layers.{k}" for k in range(depth)} | {"final_hidden": "llm"}
    outputs = read_text(case, case.inputs["input_ids"], runner, taps)
    if images is not None and shown(case, FEATURES):
        outputs |= runner.flow(FLOW, {"pixel_values": images})
    return outputs


def vision_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `EvaVit` for a `vision` section."""
    demand(vision, kind="eva_vit_g", position="learned_absolute", mlp_bias=True)
    return eva_settings(vision | {"position": "learned"}) | {"rest": has_rest(vision)}


def connector_settings(connector: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `QFormer` for a `connector` section, but for the width of what it reads."""
    demand(
        connector,
        kind="qformer_query_branch",
        norm_placement="post",
        attn_bias=True,
        mlp_bias=True,
        input_norm="ln_vision",
        flag_tokens=["flag_image_start", "flag_image_end"],
        tokens_out=connector["queries"] + 2,
    )
    return qformer_settings(connector | {"kind": "qformer"})


def llm_settings(llm: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Llama` for an `llm` section."""
    demand(llm, kind="internlm", mlp_bias=False)
    biased = bool(llm["attn_bias"])
    return llama_settings(llm) | {"qkv_biased": biased, "out_biased": biased}


def _encoder(case: Case) -> lmmdsl.Spec:
    vision = case.config("vision")
    results = {f"hidden_{k}": f"seen.hidden[{k}]" for k in range(vision["depth"] + 1)}
    flow = flow_text(
        case,
        "pixel_values",
        results | {"embeddings": "seen.hidden[0]", "vision_features": "seen"},
        first="seen = vision(pixel_values)",
    )
    text = f"""from std.vision.eva import EvaVit

model Golden {{
  encoder vision: EvaVit({arguments(vision_settings(vision))})

  weights lavis "golden/case" {{ vision = "visual_encoder" | "" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _connector(case: Case) -> lmmdsl.Spec:
    connector = case.config("connector")
    results = {f"layer_{k}": f"read.hidden[{k + 1}]" for k in range(connector["depth"])}
    results |= {"encoder_normed": "normed", "query_output": "read"}
    flow = flow_text(
        case,
        "encoder_features",
        results | {"connector_tokens": "read |> proj |> frame"},
        first="normed = norm(encoder_features) read = qformer(normed)",
    )
    seen, out = connector["encoder_width"], connector["out_width"]
    sizes = {"image_width": seen} | connector_settings(connector)
    text = f"""from std.connector.qformer import QFormer
from std.nn                import LayerNorm, Linear
from std.tokens            import Framed

model Golden {{
  norm: LayerNorm({seen}, {connector["input_norm_eps"]})
  qformer: QFormer({arguments(sizes)})
  proj: Linear(qformer.width, {out})
  frame: Framed({out})

  weights lavis "golden/case" {{
    norm = "ln_vision", qformer = "", proj = "internlm_proj"
    frame.start = "flag_image_start", frame.end = "flag_image_end"
  }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _model(case: Case) -> lmmdsl.Spec:
    vision, connector, llm = (case.config(name) for name in ("vision", "connector", "llm"))
    layout = case.config("layout")
    demand(connector, encoder_width=vision["width"], out_width=llm["width"])
    demand(layout, visual_tokens_per_image=connector["queries"] + 2)
    settings = whole.settings_of(
        vision=vision_settings(vision),
        norm={"eps": connector["input_norm_eps"]},
        qformer=connector_settings(connector),
        llm=llm_settings(llm),
    )
    ids = {"image": "image_token", "bos": "bos_id", "eos": "eos_id"}
    settings |= {f"vocab.{name}": layout[key] for name, key in ids.items() if key in layout}
    settings["words"] = llm["vocab"] - 2  # the case's own ids stand in its input
    text = (whole.FOLDER / "internlm_xcomposer_vl.lmm").read_text(encoding="utf-8")
    text, adapters = with_adapters(text, llm)
    if images_of(case) is not None and shown(case, FEATURES):
        text = add_flow(text, flow_text(case, "pixel_values", FEATURES))
    return compile_text(text, settings | adapters)


_BUILDERS = {"encoder": _encoder, "connector": _connector, "model": _model}
