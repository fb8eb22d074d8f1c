"""Train a defect detector on features of normal photos alone (PBAS), next to two that need no training."""

import argparse

import numpy as np
import torch

from anosynth.features import Hypersphere
from anosynth.features.backbone import Patches
from anosynth.features.baselines import GaussianBaseline, NearestBaseline
from anosynth.features.refine import RefinedBoundary
from anosynth.metrics import auroc, bootstrap, pixel_auroc
from anosynth.toy.images import toy_image

SIZE, CHANNELS = 128, 128
LAYERS = {"filters": ["scale2", "scale4"], "efficientnet-lite0": ["block4", "block10"]}


def photos(kind, count, first, defect=False):
    """Return uint8 photos (count, 3, SIZE, SIZE) of parts number `first` on, and the masks of their defects."""
    made = [toy_image(kind, first + i, size=SIZE, defect=defect) for i in range(count)]
    masks = [np.zeros((SIZE, SIZE), bool) if mask is None else mask for _, mask in made]
    return torch.from_numpy(np.stack([pixels for pixels, _ in made])).permute(0, 3, 1, 2), masks


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", choices=LAYERS, default="filters")
    parser.add_argument("--kind", choices=["tablet", "washer", "fabric"], default="tablet")
    options = parser.parse_args()
    torch.set_num_threads(1)

    normal, _ = photos(options.kind, 40, first=0)
    good, good_masks = photos(options.kind, 20, first=1000)
    bad, bad_masks = photos(options.kind, 20, first=2000, defect=True)  # not made by anosynth's generators
    masks, labels = good_masks + bad_masks, np.repeat([0, 1], 20)

    patches = Patches(options.backbone, LAYERS[options.backbone], pretrain_dim=CHANNELS, target_dim=CHANNELS)
    train, test = patches.batches(normal), patches.batches(torch.cat([good, bad]))

    boundary = RefinedBoundary(CHANNELS, hidden=256)
    # The centres are learned by fit; a fifth of the normal photos is held out to stop by. The test photos are not.
    # The paper has 640 epochs of a data set; forty photos take a faster rate.
    history = boundary.fit(train, Hypersphere(k=0.25, over="batch").module(), epochs=60, batch=4, rates=(1e-4, 2e-3))
    print(f"best of {len(history.losses)} epochs by held-out photos: {history.best}")

    for name, scorer in {
        "PBAS": boundary,
        "Gaussian (PaDiM-like)": GaussianBaseline().fit(train),
        "nearest neighbour": NearestBaseline(limit=5000).fit(train),
    }.items():
        image = bootstrap(auroc, scorer.image_scores(test).numpy(), labels, rng=0, draws=300)
        pixel = pixel_auroc(scorer.maps(test, SIZE).numpy(), masks)
        print(f"{name}: image AUROC {image}, pixel AUROC {pixel:.3f}")


if __name__ == "__main__":
    main()
