"""Defects in a pipeline of numpy images that is called as albumentations' transforms are: `f(image=..., mask=...)`."""

from typing import Any

import numpy as np

from anosynth import Recipe
from anosynth.torch import Transform
from anosynth.toy.images import toy_image

try:
    import albumentations as A

    augment: Any = A.Compose([A.HorizontalFlip(p=0.5), A.RandomCrop(88, 88)], seed=0)
    finish: Any = A.Compose([A.Resize(64, 64), A.Normalize()])
except ModuleNotFoundError:  # the same in a few lines, to show that it is all plain arrays

    def augment(image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image[4:92, 92:4:-1], "mask": mask[4:92, 92:4:-1]}

    def finish(**sample: Any) -> dict[str, Any]:
        return {**sample, "image": (sample["image"] / np.float32(127.5) - 1)}


synthesize = Transform(Recipe.read("photo-defects"), seed=0, probability=0.5, foreground="auto")


def read(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A toy photo, (96, 96, 3) uint8; every fifth has a real defect, which its mask, (96, 96) uint8, shows."""
    photo, mask = toy_image("washer", number, size=96, defect=number % 5 == 0)
    return photo, np.zeros((96, 96), np.uint8) if mask is None else mask.astype(np.uint8)


def main() -> None:
    synthesize.set_epoch(0)
    defects, real, made, kept = [], 0, 0, 0
    for number in range(20):
        photo, mask = read(number)
        sample = augment(image=photo, mask=mask)
        before = sample["mask"].astype(bool)
        sample = synthesize(**sample)  # image and mask, and now effect, instances, label and generator too
        real, made = real + int(before.any()), made + int(sample["generator"] != "")
        kept += int(before.any() and sample["mask"][before].all())
        defects.append(finish(image=sample["image"], mask=sample["mask"])["mask"].any())
    print(f"{made} of 20 photos got a defect; {kept} of {real} real ones are in the masks still")
    print(f"{sum(defects)} photos of the batch are anomalous")


if __name__ == "__main__":
    main()
