"""Chain ids: a layer together with all below it (OCI image-spec, config.md, "Layer ChainID")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.types import Digest


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """The chain id of each layer, lowest first."""
    chains: list[Digest] = []
    for diff_id in diff_ids:
        chains.append(Digest.of(f"{chains[-1]} {diff_id}".encode()) if chains else diff_id)
    return chains


def gone_chains(deleted: Iterable[Sequence[Digest]], kept: Iterable[Sequence[Digest]]) -> list[Digest]:
    """The chains of the images *deleted* that none of *kept* has, highest first.

    Docker tells of them when it removes an image; here it is layers that go, each as soon as no chain has it.
    """
    needed = {chain for diff_ids in kept for chain in chain_ids(diff_ids)}
    candidates = dict.fromkeys(chain for diff_ids in deleted for chain in reversed(chain_ids(diff_ids)))
    return [chain for chain in candidates if chain not in needed]
