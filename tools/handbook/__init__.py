"""The documentation site: pages and pictures that are made from the declarations, and the hook that mkdocs calls."""
