"""What feature generators add to a training step, beside the bare step in one run; memory of local-gaussian; fits.

    python benchmarks/features.py [THREADS [REPEATS]]

The bare step is SimpleNet's: adaptor Linear(1536, 1536), discriminator Linear(1536, 1024) + BatchNorm + LeakyReLU +
Linear(1024, 1), forward over [normal; fake], loss, backward, two AdamW updates, B = 8 samples of 36 x 36 cells. Its
fakes are the features themselves plus one tensor that is ready. A generator's row is the time of its forward alone, in
CPU milliseconds and as a share of the step, and so is that of the published loops; all take turns, and each time is
the least of the repeats, which is what a busy machine disturbs least.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from anosynth.features import (
    AttentionNoise,
    CodebookSwap,
    CopyOut,
    DistanceGuided,
    DropoutNoise,
    Gaussian,
    GradientAscent,
    Hypersphere,
    Jitter,
    LocalGaussian,
    PatchShuffle,
    PerlinMasked,
    PrototypeSwap,
)

BATCH, SIDE, CHANNELS, HIDDEN = 8, 36, 1536, 1024
CELLS = SIDE * SIDE


class Step:
    """The bare training step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.adaptor = torch.nn.Linear(CHANNELS, CHANNELS)
        self.discriminator = torch.nn.Sequential(
            torch.nn.Linear(CHANNELS, HIDDEN),
            torch.nn.BatchNorm1d(HIDDEN),
            torch.nn.LeakyReLU(0.2),
            torch.nn.Linear(HIDDEN, 1, bias=False),
        )
        parts = (self.adaptor, self.discriminator)
        self.optimisers = [torch.optim.AdamW(part.parameters(), lr=1e-4) for part in parts]
        self.features = torch.randn(BATCH * CELLS, CHANNELS)
        self.ready = torch.randn(BATCH * CELLS, CHANNELS) * 0.015

    def __call__(self) -> None:
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        adapted = self.adaptor(self.features)
        scores = self.discriminator(torch.cat([adapted, adapted + self.ready]))
        half = len(adapted)
        loss = (0.5 + scores[:half]).clamp(min=0).mean() + (0.5 - scores[half:]).clamp(min=0).mean()
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()


def least(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the least CPU seconds of each; they take turns."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.process_time()
            function()
            best[name] = min(best[name], time.process_time() - start)
    return best


def training(repeats: int) -> None:
    step = Step()
    rows = torch.randn(BATCH, CELLS, CHANNELS)
    maps = rows.transpose(1, 2).reshape(BATCH, CHANNELS, SIDE, SIDE).contiguous()
    scorer = step.discriminator.eval()
    generators = {
        "gaussian": Gaussian(),
        "gaussian, relative to the norm": Gaussian(relative="norm"),
        "jitter": Jitter(),
        "hypersphere, bank by position": Hypersphere(assign="position"),
        "hypersphere": Hypersphere(),
        "hypersphere, radius of the batch": Hypersphere(over="batch"),
        "distance-guided": DistanceGuided(),
        "dropout-noise": DropoutNoise(),
        "patch-shuffle": PatchShuffle(),
        "copy-out": CopyOut(),
        "attention-noise": AttentionNoise(),
        "perlin-masked gaussian": PerlinMasked(empty=0.0),
        "perlin-masked hypersphere": PerlinMasked(inner="hypersphere", empty=0.0),
        "codebook-swap, 1024 words": CodebookSwap(),
        "prototype-swap": PrototypeSwap(),
        "gradient-ascent, 20 steps": GradientAscent(),
        "local-gaussian, 32 samples": LocalGaussian(samples=32),
    }
    functions: dict[str, Callable[[], Any]] = {"bare step": step, **published(rows)}
    for name, generator in generators.items():
        module = generator.module(channel_dim=2, grid=(SIDE, SIDE), scorer=scorer)
        if name == "prototype-swap":
            module.partial_fit(rows[:1])
        else:
            module.fit(torch.randn(4, CELLS, CHANNELS) for _ in range(8))
        functions[name] = lambda module=module: module(rows, rng=1)
        if name in ("gaussian", "hypersphere"):
            planes = generator.module().fit([maps])
            functions[f"{name}, (B, C, H, W)"] = lambda module=planes: module(maps, rng=1)
    # The step needs its batch statistics; scorers are called in eval mode.
    functions["bare step"] = lambda: (step.discriminator.train(), step(), step.discriminator.eval())
    times = least(functions, repeats)
    print(f"{'B = 8, 36 x 36 x 1536, float32':40}{'ms':>9}{'of the step':>13}")
    for name, seconds in times.items():
        print(f"{name:40}{seconds * 1000:9.1f}{seconds / times['bare step']:13.1%}", flush=True)


def published(rows: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    """Return what the loops of SimpleNet, UniAD and PBAS do to (B, P, C), written down plainly over torch's randomness.

    They have no stream for each sample, no labels and no care for a distance of 0.
    """
    flat, centres = rows.reshape(-1, CHANNELS), rows.mean(dim=0)
    unit = torch.nn.functional.normalize

    def gaussian() -> torch.Tensor:
        return flat + torch.normal(0.0, 0.015, flat.shape)

    def jitter() -> torch.Tensor:
        return flat + torch.randn(flat.shape) * (20.0 / CHANNELS * flat.norm(dim=1, keepdim=True))

    def hypersphere() -> torch.Tensor:
        away = flat - centres[(unit(flat) @ unit(centres).T).argmax(dim=1)]
        distance = away.norm(dim=1, keepdim=True)
        return flat + (0.25 * distance.mean() * away / distance).detach()

    loops = {"gaussian": gaussian, "jitter": jitter, "hypersphere": hypersphere}
    return {f"published loop: {name}": loop for name, loop in loops.items()}


def local_gaussian() -> None:
    before = peak()
    module = LocalGaussian(samples=200).module(channel_dim=2, grid=(SIDE, SIDE))
    start = time.perf_counter()
    module.fit(torch.randn(8, CELLS, CHANNELS) for _ in range(25))
    fitted = time.perf_counter()
    x = torch.randn(BATCH, CELLS, CHANNELS)
    module(x, rng=0)
    start_again = time.perf_counter()
    module(x, rng=1)
    done = time.perf_counter()
    held = sum(buffer.numel() * buffer.element_size() for buffer in module.buffers())
    print(
        f"local-gaussian, 36 x 36 x 1536, 200 samples: holds {held / 2**30:.2f} GiB, peak {peak() - before:.2f} GiB "
        f"above the start; fit {fitted - start:.1f} s, forward of 8 samples {done - start_again:.2f} s"
    )
    print(f"  covariances as matrices would hold {CELLS * CHANNELS**2 * 4 / 2**30:.1f} GiB")


def million() -> None:
    module = Hypersphere().module(channel_dim=2)
    batches = 97
    one = torch.randn(BATCH, CELLS, CHANNELS)
    module.partial_fit(one)
    before, start = peak(), time.perf_counter()
    for number in range(batches - 1):
        module.partial_fit(one + number * 1e-3)
    spent = time.perf_counter() - start
    print(
        f"hypersphere, fit over {batches * BATCH * CELLS:,} cells x {CHANNELS}: {spent:.1f} s, "
        f"{peak() - before:.2f} GiB more at its peak than after the first batch"
    )


def peak() -> float:
    """Return the largest resident memory so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    million()
    local_gaussian()
    training(int(sys.argv[2]) if len(sys.argv) > 2 else 5)


if __name__ == "__main__":
    main()
