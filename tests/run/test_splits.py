"""The split map: shares, no leak of a source into two splits, and independence of everything but seed and names."""

import csv
from collections import Counter

import pytest

from anosynth.errors import ParameterError
from anosynth.run.splits import SPLITS, check_shares, split_of, write_map

KEYS = [f"{number:05d}.png" for number in range(4000)]


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.2), (1, 0, 0), (0, 0, 1), (0.5, 0.5, 0)])
def test_shares_are_probabilities(shares):
    found = Counter(split_of(key, 3, shares) for key in KEYS)
    for split, share in zip(SPLITS, shares, strict=True):
        # Five standard deviations of a binomial.
        assert abs(found[split] - share * len(KEYS)) <= 5 * (share * (1 - share) * len(KEYS)) ** 0.5


def test_a_split_depends_on_name_and_seed_alone():
    one, other = ([split_of(key, seed, (0.7, 0.1, 0.2)) for key in KEYS] for seed in (0, 1))
    agree = sum(a == b for a, b in zip(one, other, strict=True)) / len(KEYS)
    assert agree == pytest.approx(0.7**2 + 0.1**2 + 0.2**2, abs=0.04)


def test_larger_shares_keep_what_is_in_the_split():
    few, many = ({key for key in KEYS if split_of(key, 0, (1 - share, 0, share)) == "test"} for share in (0.1, 0.3))
    assert few < many


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.6, 0.1), (-0.1, 0.1, 1.0), (float("nan"), 0.5, 0.5)])
def test_shares_that_are_none(shares):
    with pytest.raises(ParameterError, match=r"^--split: .*three shares that add up to 1"):
        check_shares(shares)


def test_the_map_is_csv(tmp_path):
    write_map(tmp_path, [("a.png", "train"), ("b, c.png", "test")])
    with (tmp_path / "splits.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["source", "split"], ["a.png", "train"], ["b, c.png", "test"]]
