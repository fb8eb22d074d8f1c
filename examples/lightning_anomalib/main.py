"""Defects made on the fly under Lightning: a data module, and the one hook that moves the epoch on."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anosynth import Recipe
from anosynth.torch import SyntheticDataset
from anosynth.toy.images import toy_image

try:
    import lightning
except ModuleNotFoundError:
    print("lightning is not installed: pip install lightning, and run this again")
    raise SystemExit(0) from None


class SyntheticData(lightning.LightningDataModule):
    """Normal photos, seven in ten of which get a defect; for validation always the same ones."""

    def __init__(self, photos: list[Tensor], names: list[str], *, held_out: int = 8) -> None:
        super().__init__()
        recipe = Recipe.read("photo-defects")
        parts = [slice(None, -held_out), slice(-held_out, None)]
        self.train, self.val = (
            SyntheticDataset(photos[part], recipe, seed=seed, probability=0.7, key=names[part])
            for seed, part in enumerate(parts)
        )

    def train_dataloader(self) -> DataLoader:
        # Lightning takes the first batches of a run, be it a resumed one, before it calls any hook of an epoch.
        self.train.set_epoch(self.trainer.current_epoch)
        return DataLoader(self.train, batch_size=4, shuffle=True, num_workers=1, persistent_workers=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, batch_size=8)


class Detector(lightning.LightningModule):
    """A network so small that it shows the plumbing and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        # Batches of four are too small for batch statistics to hold in validation.
        first = [nn.Conv2d(3, 16, 5, padding=2, bias=False), nn.GroupNorm(4, 16), nn.ReLU()]
        self.net = nn.Sequential(*first, nn.Conv2d(16, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 5, padding=2))
        self.losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        self.trainer.datamodule.train.set_epoch(self.current_epoch)  # reaches running workers, on each rank

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        logits = self.net(batch["sample"].float() / 255)
        return nn.functional.binary_cross_entropy_with_logits(logits, batch["mask"].float())

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        return self.loss(batch)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.losses.append(float(self.loss(batch)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main() -> None:
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)  # of the network and the order only
    photos = [torch.from_numpy(toy_image("fabric", seed, size=64)[0]).permute(2, 0, 1) for seed in range(40)]
    model, data = Detector(), SyntheticData(photos, [f"good/{number:03d}.png" for number in range(40)])
    trainer = lightning.Trainer(
        max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    print(f"validation loss in 10 epochs: {model.losses[0]:.3f} -> {model.losses[-1]:.3f}")


if __name__ == "__main__":
    main()
