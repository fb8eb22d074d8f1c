"""Train a per-point defect detector on normal scans alone: the defects are made while it trains."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anosynth import Recipe, Vary, read_cloud
from anosynth.pointclouds import Bulge, Dent, PerlinSurface
from anosynth.torch import SyntheticDataset
from anosynth.toy import make_toy

EPOCHS, SCALES = 2, (8, 16, 32)
RECIPE = Recipe([(2, Vary(PerlinSurface)), (1, Vary(Dent)), (1, Vary(Bulge))])


def features(points: Tensor) -> Tensor:
    """(B, N, 3) -> (B, N, 27): how thin, round and lopsided the K nearest points are, and how that is near by."""
    rows = torch.arange(len(points))[:, None, None]
    nearest = torch.cdist(points, points).topk(max(SCALES), largest=False).indices
    around, found = points[rows, nearest], []
    for k in SCALES:
        centre = around[:, :, :k].mean(dim=2, keepdim=True)
        spread = around[:, :, :k] - centre
        values, axes = torch.linalg.eigh(spread.mT @ spread)
        thin, middle, wide = values.clamp(min=1e-9).sqrt().unbind(-1)
        offset = (spread[:, :, 0] * axes[..., 0]).sum(-1).abs()
        found += [(thin / wide).log(), (middle / wide).log(), (offset / wide + 1e-3).log()]
    own = torch.stack(found, dim=-1)
    return torch.cat([own, own[rows, nearest].mean(dim=2), own[rows, nearest].amax(dim=2)], dim=-1)


def auroc(scores: Tensor, mask: Tensor) -> float:
    """Area under the ROC curve: how often an anomalous point scores higher than a normal one."""
    rank = scores.argsort().argsort().double() + 1
    hits, rest = int(mask.sum()), int((~mask).sum())
    return (float(rank[mask].sum()) - hits * (hits + 1) / 2) / (hits * rest)


def main() -> None:
    torch.set_num_threads(1)  # the other cores are the workers'
    own = torch.Generator().manual_seed(0)  # of the network and the order only: the defects have a seed of their own
    paths = [path for path in make_toy("torus", Path("toy"), count=48, points=2048) if path.suffix == ".ply"]
    clouds, names = [read_cloud(path) for path in paths], [path.name for path in paths]
    train = SyntheticDataset(clouds[:36], RECIPE, seed=0, probability=0.8, key=names[:36])
    test = SyntheticDataset(clouds[36:], RECIPE, seed=1, probability=1.0, key=names[36:])
    loader = DataLoader(train, batch_size=2, shuffle=True, generator=own, num_workers=2, persistent_workers=True)
    model = nn.Sequential(nn.BatchNorm1d(27), nn.Linear(27, 64), nn.ReLU(), nn.Linear(64, 1))
    for layer in (model[1], model[3]):
        nn.init.xavier_uniform_(layer.weight, generator=own)
        nn.init.zeros_(layer.bias)
    loss_of = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(10.0))  # defects are a few points in a hundred
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(EPOCHS):
        train.set_epoch(epoch)  # other defects on the same scans
        losses = []
        for batch in loader:
            loss = loss_of(model(features(batch["sample"]).flatten(0, 1))[:, 0], batch["mask"].flatten().float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")
    model.eval().requires_grad_(False)
    scores = torch.cat([model(features(item["sample"][None])[0])[:, 0] for item in test])
    score = auroc(scores, torch.cat([item["mask"] for item in test]))
    print(f"per-point AUROC on {len(test)} held-out scans: {score:.3f}")


if __name__ == "__main__":
    main()
