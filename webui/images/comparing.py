"""What differs between two images: layers, sizes, configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from webui import gateway
from webui.images.layers import Step, steps
from webui.images.selectors import names_of

if TYPE_CHECKING:
    from webui.environments.models import Environment


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing of the configuration; an empty value where one image does not have it."""

    what: str
    left: str
    right: str

    @property
    def kind(self) -> str:
        return "added" if not self.left else "deleted" if not self.right else "modified"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, and the steps that the other does not share."""

    image: gateway.ImageDetail
    own: tuple[Step, ...]

    @property
    def own_size(self) -> int:
        return sum(step.size for step in self.own)


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Side
    right: Side
    shared: tuple[Step, ...]
    """The steps that both have, up to their last common layer."""
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        return self.left.image.id == self.right.image.id

    @property
    def shared_size(self) -> int:
        return sum(step.size for step in self.shared)

    @property
    def growth(self) -> int:
        """Bytes by which the right one is larger."""
        return self.right.image.size - self.left.image.size

    @property
    def shrinkage(self) -> int:
        return -self.growth


def compare(*, environment: Environment, left: str, right: str) -> Comparison:
    """`gateway.NotFound` when either is not there."""
    with gateway.client(environment) as client:
        one, other = client.image(left), client.image(right)
        of_one, of_other = steps(one, client.history(one.id)), steps(other, client.history(other.id))
    common = _common(one.layers, other.layers)
    layers = one.layers[:common]
    begin, begin_other = of_one[: _after(of_one, layers)], of_other[: _after(of_other, layers)]
    # Below the last common layer, instructions that made none may differ all the same.
    said = {step.instruction for step in begin} & {step.instruction for step in begin_other}

    def own(of: Sequence[Step], begin: Sequence[Step]) -> tuple[Step, ...]:
        different = tuple(step for step in begin if not step.diff_id and step.instruction not in said)
        return (*different, *of[len(begin) :])

    return Comparison(
        left=Side(one, own(of_one, begin)),
        right=Side(other, own(of_other, begin_other)),
        shared=tuple(step for step in begin if step.diff_id or step.instruction in said),
        differences=tuple(_differences(one, other)),
    )


def image_names(*, environment: Environment) -> tuple[str, ...]:
    with gateway.client(environment) as client:
        return names_of(client.images())


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many layers both begin with."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _after(of: Sequence[Step], layers: Sequence[str]) -> int:
    """Where the steps after the last of *layers* begin."""
    if not layers:
        return 0
    return max((at + 1 for at, step in enumerate(of) if step.diff_id in layers), default=0)


def _differences(one: gateway.ImageDetail, other: gateway.ImageDetail) -> list[Difference]:
    single = [
        (_("Command"), " ".join(one.cmd), " ".join(other.cmd)),
        (_("Entrypoint"), " ".join(one.entrypoint), " ".join(other.entrypoint)),
        (_("Directory"), one.working_dir, other.working_dir),
        (_("User"), one.user, other.user),
        (_("Platform"), f"{one.os}/{one.architecture}", f"{other.os}/{other.architecture}"),
    ]
    found = [Difference(what, mine, theirs) for what, mine, theirs in single if mine != theirs]
    found += _pairs(_("Variable"), dict(one.variables), dict(other.variables))
    found += _pairs(_("Label"), one.labels, other.labels)
    found += _pairs(_("Port"), dict.fromkeys(one.exposed_ports, _("yes")), dict.fromkeys(other.exposed_ports, _("yes")))
    found += _pairs(_("Volume"), dict.fromkeys(one.volumes, _("yes")), dict.fromkeys(other.volumes, _("yes")))
    return found


def _pairs(what: str, one: Mapping[str, str], other: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(f"{what} {name}", one.get(name, ""), other.get(name, ""))
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]
