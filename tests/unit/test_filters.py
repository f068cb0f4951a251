"""What the filters of the engine's lists have in common."""

from __future__ import annotations

import pytest

from engine.errors import InvalidParameter
from engine.filters import flag, has_label, labelled, named, require_known


def test_a_filter_that_nobody_knows_is_refused_by_its_name() -> None:
    require_known({"label": ("x",)}, {"label", "name"})
    with pytest.raises(InvalidParameter, match="invalid filter 'a'"):
        require_known({"label": (), "z": (), "a": ()}, {"label"})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("a", True), ("a=1", True), ("a=", False), ("a=2", False), ("b", True), ("b=", True), ("c", False), ("", False)],
)
def test_a_label_is_wanted_by_its_name_or_with_its_value(wanted: str, *, found: bool) -> None:
    assert has_label({"a": "1", "b": ""}, wanted) is found


def test_a_prune_takes_what_has_all_of_the_labels_and_none_of_the_others() -> None:
    labels = {"a": "1", "b": ""}
    assert labelled(labels, {})
    assert labelled(labels, {"label": ["a=1", "b"], "label!": ["c", "a=2"]})
    assert not labelled(labels, {"label": ["a", "c"]})
    assert not labelled(labels, {"label!": ["c", "b"]})


def test_yes_and_no_are_what_docker_takes_for_them() -> None:
    assert [flag(text) for text in ("1", "True", "0", "FALSE", "yes", "")] == [True, True, False, False, None, None]


def test_a_name_is_an_expression_without_repetitions_that_could_take_for_ever() -> None:
    assert named(["^we", "b$"])("web")
    assert not named(["^b"])("web")
    for bad in ("(a+)+", "a*b*c*d*", "["):
        with pytest.raises(InvalidParameter, match="invalid filter 'name="):
            named([bad])
