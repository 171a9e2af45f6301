"""A model repository that lies elsewhere, mirrored into the local one that every stage scans.

`open_source.py` makes a Source of a URL; `mirror.py` does one pass of it into the cache directory;
`follow.py` repeats it inside a stage, `__main__.py` does it once for an init container.
"""
