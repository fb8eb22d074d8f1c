"""A normal scan in, an anomalous one and the truth about it out."""

from anosynth.pointclouds import PerlinSurface
from anosynth.toy.clouds import scan
from anosynth.toy.meshes import shell

cloud = scan(shell(0), 20_000, rng=0)  # or anosynth.read_cloud("part.ply")
gen = PerlinSurface(strength=0.02)
anomaly = gen(cloud, rng=7)

print(f"{anomaly.mask.sum()} of {len(cloud)} points moved, by up to {abs(anomaly.effect).max():.2f} {cloud.unit}")
