"""The only maker of randomness: keyed Philox streams and transforms whose bytes are ours to keep.

numpy promises the bits of its bit generators over versions but not its distributions, so every draw here starts
from raw 64-bit words and uses only operations that IEEE 754 fixes, and `anosynth.steady` where it needs more.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import unicodedata
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from anosynth import steady

SCHEME = 1
"""Version of the key derivation and of the transforms below; a change of either changes every sample."""

RngLike = Union[None, int, "Rng", np.random.SeedSequence, np.random.Generator]
"""What an `rng` argument may be (SPEC 7, plus our own stream)."""


_TWO_PI = 2.0 * math.pi
_WORD = 2**64 - 1


class _Key(np.random.bit_generator.ISeedSequence):
    """What `Philox(key=...)` would use, without the entropy that this draws from the system only to drop it."""

    def __init__(self, key: int) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[np.uint64]:
        return np.array([self.key & _WORD, self.key >> 64], dtype=np.uint64)


class Rng:
    """A stream of random numbers under a 128-bit Philox key.

    Streams are cheap to derive: `rng.child("octave", 3)` depends on the key and the names alone, never on what was
    drawn before, so code may draw in any order without disturbing its neighbours.
    """

    __slots__ = ("_made", "key")

    def __init__(self, key: int) -> None:
        self.key = key
        self._made: np.random.Philox | None = None

    @property
    def _bits(self) -> np.random.Philox:
        # Most streams are only asked for children, and numpy takes longer to set one up than to draw from it.
        if self._made is None:
            self._made = np.random.Philox(_Key(self.key))  # type: ignore[arg-type]
        return self._made

    def child(self, *names: str | int) -> Rng:
        """Return the independent stream of these names under this key."""
        return Rng(_digest("child", f"{self.key:032x}", *names))

    def random(self, size: int) -> NDArray[np.float64]:
        """Return (size,) float64 uniforms in [0, 1) with 53 bits each."""
        raw = np.asarray(self._bits.random_raw(size), dtype=np.uint64)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return one float in [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) * 2.0**-53)

    def log_uniform(self, low: float, high: float) -> float:
        """Return one float in [low, high], uniform in its logarithm; both ends must be > 0."""
        # exp(log(x)) may miss x by an ulp, and an end of a range may be a bound that values are checked against.
        return min(max(float(steady.exp(self.uniform(steady.log(low), steady.log(high)))), low), high)

    def integer(self, low: int, high: int) -> int:
        """Return one integer in [low, high], both ends included."""
        return low + ((int(self._bits.random_raw()) * (high - low + 1)) >> 64)

    def normal(self, size: int) -> NDArray[np.float64]:
        """Return (size,) float64 standard normals (Box-Muller, both branches)."""
        half = (size + 1) // 2
        u = self.random(2 * half)
        radius = np.sqrt(-2.0 * steady.log(1.0 - u[:half]))
        angle = _TWO_PI * u[half:]
        return np.concatenate([radius * steady.cos(angle), radius * steady.sin(angle)])[:size]

    def choice(self, weights: Sequence[float]) -> int:
        """Return an index drawn with probability proportional to `weights` (>= 0, not all 0)."""
        total = math.fsum(weights)
        mark, running = self.uniform() * total, 0.0
        for index, weight in enumerate(weights):
            running += weight
            if mark < running:
                return index
        return max(i for i, w in enumerate(weights) if w > 0)

    def sign(self) -> int:
        """Return -1 or +1."""
        return 1 if int(self._bits.random_raw()) >> 63 else -1

    def permutation(self, size: int) -> NDArray[np.int64]:
        """Return a permutation of range(size), (size,) int64."""
        raw = np.asarray(self._bits.random_raw(size), dtype=np.uint64)
        return np.argsort(raw, kind="stable").astype(np.int64)

    def direction(self) -> NDArray[np.float64]:
        """Return a (3,) float64 unit vector, uniform on the sphere."""
        z, angle = self.uniform(-1.0, 1.0), self.uniform(0.0, _TWO_PI)
        ring = math.sqrt(max(0.0, 1.0 - z * z))
        return np.array([ring * steady.cos(angle), ring * steady.sin(angle), z])


def as_rng(rng: RngLike) -> Rng:
    """Turn what a caller passes as `rng` into a stream.

    None draws fresh entropy from the system; an int (0 is a seed like any other) or a SeedSequence always gives the
    same stream; a numpy Generator is advanced by four words, so that passing it twice gives two streams.

    Raises:
        TypeError: `rng` is of another type.
    """
    if isinstance(rng, Rng):
        return rng
    if rng is None:
        return Rng(secrets.randbits(128))
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return Rng(_digest("int", int(rng)))
    if isinstance(rng, np.random.SeedSequence):
        return Rng(_digest("sequence", *(int(word) for word in rng.generate_state(4, np.uint32))))
    if isinstance(rng, np.random.Generator):
        words = np.asarray(rng.bit_generator.random_raw(4), dtype=np.uint64)
        return Rng(_digest("generator", *(int(word) & 0xFFFFFFFF for word in words)))
    raise TypeError(f"rng: {type(rng).__name__}: expected None, int, SeedSequence, numpy Generator or anosynth Rng")


def stream(seed: int, generator: str, key: str, variant: int = 0, epoch: int = 0) -> Rng:
    """Return the stream of one output: a pure function of what identifies it and of nothing else.

    `key` is the source's path relative to its data set's root, POSIX and NFC, never an index or an absolute path:
    adding a file changes no other sample.
    """
    return Rng(_digest(SCHEME, seed, generator, normalise_key(key), variant, epoch))


def normalise_key(key: str) -> str:
    """Return `key` in NFC with forward slashes, so that every file system gives the same stream."""
    return unicodedata.normalize("NFC", key).replace("\\", "/")


def _digest(*parts: str | int) -> int:
    # A JSON list keeps field borders: ("ab", "c") and ("a", "bc") are different texts. Lone surrogates (file names that
    # are not UTF-8) come out as escapes, so every name has a digest. Encoders of lists take four times as long.
    text = ",".join([encode_basestring_ascii(part) if isinstance(part, str) else int.__repr__(part) for part in parts])
    return int.from_bytes(hashlib.blake2b(f"[{text}]".encode("ascii"), digest_size=16).digest(), "little")
