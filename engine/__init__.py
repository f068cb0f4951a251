"""Havre's container engine: images, containers, networks and volumes on Linux.

The package is a library (`engine.engine.Engine`) and a daemon (`python -m engine serve`) that offers the
library through the Docker Engine API. It imports nothing of the web side.
"""

__version__ = "0.1.0"
