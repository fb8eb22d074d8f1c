"""torch, or how to get it: what computes imports it from here."""

from __future__ import annotations

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("torch: not installed: anosynth.features needs it\nhint: pip install 'anosynth[torch]'") from None

__all__ = ["F", "nn", "torch"]
