"""Make a folder that `ptv2` reads of a download whose weights are pickles (`pytorch_model*.bin`, a DeepSpeed `.pt`).

    python scripts/convert_weights.py DOWNLOAD FOLDER

Every name and value stays; tensors that share memory are written once each. The pickle is read with torch's
`weights_only`, which runs no code of the file. Configuration and tokenizer files are copied. Example, for GLM:

    hf download zai-org/glm-2b --local-dir glm-2b
    python scripts/convert_weights.py glm-2b glm-2b-safetensors
    ptv2 train model=glm-xlarge model.path=glm-2b-safetensors
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

COPIED = ("*.json", "*.txt", "*.model")


def read(folder: Path) -> dict[str, torch.Tensor]:
    """All weights in the pickles of `folder` by name."""
    files = sorted(folder.glob("pytorch_model*.bin")) or sorted(folder.glob("*.pt"))
    if not files:
        raise SystemExit(f"{folder}: expected pytorch_model*.bin or a .pt file")
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
        state = state.get("module", state)  # DeepSpeed keeps the model under this name
        weights |= {name: tensor.clone() for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    return weights


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    source, target = map(Path, arguments)
    weights = read(source)
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(file for pattern in COPIED for file in source.glob(pattern)):
        if not file.name.endswith(".index.json"):
            shutil.copy(file, target)
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()}, target / "model.safetensors", {"format": "pt"}
    )
    print(f"{target / 'model.safetensors'}: {len(weights)} tensors")


if __name__ == "__main__":
    main(sys.argv[1:])
