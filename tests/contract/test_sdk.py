"""The Docker SDK's own integration tests, run against Havre's socket. What is left out is in sdk_left_out.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures import sdk
from tests.fixtures.daemons import HavreDaemon

FILES = (
    "api_build_test.py",
    "api_client_test.py",
    "api_container_test.py",
    "api_exec_test.py",
    "api_healthcheck_test.py",
    "api_image_test.py",
    "api_network_test.py",
    "api_volume_test.py",
    "client_test.py",
    "context_api_test.py",
    "errors_test.py",
    "models_containers_test.py",
    "models_images_test.py",
    "models_networks_test.py",
    "models_resources_test.py",
    "models_volumes_test.py",
    "regression_test.py",
)


@pytest.fixture(scope="module")
def suite(havre: HavreDaemon) -> Path:
    for image in sdk.IMAGES:
        havre.docker("pull", "--quiet", image)
    return sdk.suite()


def test_no_file_is_forgotten(suite: Path) -> None:
    assert tuple(sdk.files(suite)) == FILES


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FILES)
def test_sdk(havre: HavreDaemon, suite: Path, tmp_path: Path, name: str) -> None:
    outcomes = sdk.run(havre, suite, name, report=tmp_path / "report.xml")
    assert outcomes, "no test was run"
    wrong = {test: text for test, text in outcomes.items() if text}
    assert not wrong, "\n\n".join(f"{test}:\n{text}" for test, text in wrong.items())
