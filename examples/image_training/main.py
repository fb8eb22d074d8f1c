"""Train a defect detector on normal photos alone: the defects are made while it trains."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anosynth import Recipe
from anosynth.torch import SyntheticDataset
from anosynth.toy.images import toy_image

KIND, SIZE, EPOCHS = "fabric", 96, 8


class Net(nn.Module):
    """(B, 3, H, W) photos -> (B, 1, H, W) logits: fine detail beside what is seen at a quarter of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(*self.layer(3, 16), *self.layer(16, 16))
        self.coarse = nn.Sequential(*self.layer(16, 32, 2), *self.layer(32, 48, 2), *self.layer(48, 48))
        self.out = nn.Sequential(*self.layer(64, 32), nn.Conv2d(32, 1, 1))

    @staticmethod
    def layer(channels: int, more: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(channels, more, 3, stride, 1, bias=False), nn.BatchNorm2d(more), nn.ReLU()]

    def forward(self, photos: Tensor) -> Tensor:
        fine = self.fine(photos)
        wide = nn.functional.interpolate(self.coarse(fine), fine.shape[-2:], mode="bilinear")
        return self.out(torch.cat([fine, wide], dim=1))


def photos(seeds: range, *, defect: bool = False) -> list[Tensor]:
    """Toy photos as they would be read from files; their defects owe nothing to anosynth's generators."""
    return [torch.from_numpy(toy_image(KIND, seed, size=SIZE, defect=defect)[0]).permute(2, 0, 1) for seed in seeds]


def score(model: nn.Module, photo: Tensor) -> float:
    """How anomalous a photo is: the mean of the logits of its twenty most anomalous pixels."""
    return float(model(photo[None].float() / 255).flatten().topk(20).values.mean())


def auroc(good: list[float], bad: list[float]) -> float:
    """Area under the ROC curve: how often an anomalous photo scores higher than a normal one."""
    return sum((b > g) + 0.5 * (b == g) for g in good for b in bad) / (len(good) * len(bad))


def main() -> None:
    torch.set_num_threads(1)  # the other cores are the workers'
    torch.manual_seed(0)  # of the network and the order only: the defects have a seed of their own
    normal = photos(range(64))
    names = [f"good/{number:03d}.png" for number in range(len(normal))]  # of real photos, their paths
    train = SyntheticDataset(normal, Recipe.read("photo-defects"), seed=0, probability=0.7, key=names)
    loader = DataLoader(train, batch_size=8, shuffle=True, num_workers=2, persistent_workers=True)
    model = Net()
    loss_of = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.0))  # defects are a few pixels in a hundred
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(EPOCHS):
        train.set_epoch(epoch)  # other defects on the same photos
        losses = []
        for batch in loader:
            loss = loss_of(model(batch["sample"].float() / 255), batch["mask"].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")
    model.eval().requires_grad_(False)
    good = [score(model, photo) for photo in photos(range(100, 124))]
    bad = [score(model, photo) for photo in photos(range(200, 224), defect=True)]
    print(f"image AUROC on {len(good)} normal photos and {len(bad)} with other defects: {auroc(good, bad):.3f}")


if __name__ == "__main__":
    main()
