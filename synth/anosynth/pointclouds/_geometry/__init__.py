"""Geometry of surfaces given by points or triangles: normals, orientation, patches, paths, clearance, refinement."""
