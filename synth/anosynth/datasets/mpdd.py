"""MPDD: metal parts in the tree of MVTec AD."""

from __future__ import annotations

from typing import ClassVar

from .mvtec import MVTec


class MPDD(MVTec):
    """`CATEGORY/train/good/000.png`, `CATEGORY/test/KIND/000.png`, `CATEGORY/ground_truth/KIND/000_mask.png`.

    The tree and its readers are those of MVTec AD.
    """

    name: ClassVar[str] = "mpdd"
    folder: ClassVar[str] = "MPDD"
    home: ClassVar[str] = "MPDD comes from its authors, github.com/stepanje/MPDD (CC BY-NC-SA 4.0)"
