"""The client: one request, one typed answer (or an error of `engine.client.errors`), over the docker SDK."""

from __future__ import annotations

import datetime as dt
import json
import time

from engine.client import errors, parse
from engine.client.builds import BuildCalls
from engine.client.container_calls import ContainerCalls
from engine.client.container_files import FileCalls
from engine.client.images import ImageCalls
from engine.client.lint import LintCalls
from engine.client.model import Event, HostInfo, VersionInfo
from engine.client.networks import NetworkCalls
from engine.client.volumes import VolumeCalls


class Client(BuildCalls, ContainerCalls, FileCalls, ImageCalls, LintCalls, NetworkCalls, VolumeCalls):
    """Every call to a Docker-compatible endpoint; what it is and how long it waits is told at `Connection`."""

    def ping(self) -> str:
        """The API version that is spoken; `Unreachable` when nobody answers."""
        with errors.translated(self.base_url):
            self._api.ping()
            return self._api.api_version

    def version(self) -> VersionInfo:
        with errors.translated(self.base_url):
            return parse.version_info(self._api.version())

    def info(self) -> HostInfo:
        with errors.translated(self.base_url):
            return parse.host_info(self._api.info())

    def past_events(self, *, since: dt.datetime) -> list[Event]:
        """The events that the endpoint remembers from *since* until now, oldest first."""
        parameters = {"since": f"{since.timestamp():.9f}", "until": f"{time.time():.9f}"}
        with errors.translated(self.base_url):
            api = self._api
            answer = api.get(f"{api.base_url}/v{api.api_version}/events", params=parameters, timeout=self.timeout)
        if answer.status_code >= 400:
            raise errors.from_status(answer.status_code, answer.text)
        return [parse.event(json.loads(line)) for line in answer.text.splitlines() if line.strip()]
