"""Mask a record of twelve leads at two scales, and turn one of the masks into anomalies with labels."""

import numpy as np

from anosynth import as_rng
from anosynth.masks import MultiScale, fill

LENGTH, LEADS, RATE = 4810, 12, 500


def record(number: int) -> np.ndarray:
    """Return (LENGTH, LEADS) float32: beats of a slow and a sharp wave, of another height in each lead, with noise."""
    rng = as_rng(0).child("record", number)
    beat = np.arange(LENGTH) / RATE * rng.uniform(0.9, 1.4) % 1.0
    shape = np.exp(-(((beat - 0.3) / 0.015) ** 2)) + 0.2 * np.exp(-(((beat - 0.6) / 0.06) ** 2))
    heights = np.linspace(-0.6, 1.4, LEADS)
    noise = 0.02 * rng.normal(LENGTH * LEADS).reshape(LENGTH, LEADS)
    return (shape[:, None] * heights + noise).astype(np.float32)


def main() -> None:
    signals = np.stack([record(i) for i in range(4)])  # (B, L, leads)
    masks = MultiScale(segment=48)(signals, rng=7, channel_dim=-1)

    for name, scale in masks.items():
        print(f"{name}: {scale.passes} passes, each masks {scale.count} of {scale.grid[0]} segments")
        print(f"  the last segment sticks out of the record by {scale.padding[0]} samples")
        union = np.logical_or.reduce([scale.samples(i) for i in range(scale.passes)])
        print(f"  masked {scale.counts.min()} to {scale.counts.max()} times each, {union.mean():.0%} of the samples")

    kept, masked, restore = masks["global"].ids(0)
    tokens = np.concatenate([kept, masked], axis=1)
    back = np.take_along_axis(tokens, restore, axis=1)
    print(f"tokens: {kept.shape[1]} kept, {masked.shape[1]} masked, in order again: {bool((np.diff(back) == 1).all())}")

    local = masks["local"].samples(0)
    for mode in ("zero", "interpolate", "noise", "copy", "shift"):
        broken, changed = fill(signals, local, mode, rng=7, channel_dim=-1)
        kept_bits = bool((broken == signals)[~changed].all())
        print(f"{mode}: {changed.mean():.1%} of the values changed, the others the same: {kept_bits}")


if __name__ == "__main__":
    main()
