"""The language of Dockerfiles: text in, frozen dataclasses out, and what variables in them stand for.

Nothing here builds, asks a registry or reads a file. `parser.parse` is the way in.
"""
