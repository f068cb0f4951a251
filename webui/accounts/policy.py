"""The one answer to "may X do Y here?". Every page, fragment, socket and task asks it, before anything else.

What is not granted is denied. A door declares its action by `view` or, for sockets, by the consumer's `action`; a test
walks every door there is and fails for one that has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _

from webui.accounts import powers
from webui.accounts.models import Grant, Role
from webui.accounts.powers import Power

if TYPE_CHECKING:
    from webui.environments.models import Environment


class Action(StrEnum):
    """Everything that can be done, as `noun.verb`."""

    ENVIRONMENT_VIEW = "environment.view"
    ENVIRONMENT_REACH = "environment.reach"
    """Have the engine fetch from private addresses, its own host's among them, and push there."""
    CONTAINER_VIEW = "container.view"
    CONTAINER_LOGS = "container.logs"
    CONTAINER_INSPECT = "container.inspect"
    CONTAINER_CREATE = "container.create"
    CONTAINER_HOST = "container.host"
    """Give a container power over its host, or reach into one that has it."""
    CONTAINER_START = "container.start"
    CONTAINER_STOP = "container.stop"
    CONTAINER_RESTART = "container.restart"
    CONTAINER_KILL = "container.kill"
    CONTAINER_PAUSE = "container.pause"
    CONTAINER_UNPAUSE = "container.unpause"
    CONTAINER_REMOVE = "container.remove"
    CONTAINER_EXEC = "container.exec"
    CONTAINER_UPDATE = "container.update"
    CONTAINER_USAGE = "container.usage"
    CONTAINER_PROCESSES = "container.processes"
    CONTAINER_CHANGES = "container.changes"
    CONTAINER_DEATHS = "container.deaths"
    CONTAINER_RECREATE = "container.recreate"
    CONTAINER_FILES = "container.files"
    CONTAINER_UPLOAD = "container.upload"
    CONTAINER_EXPORT = "container.export"
    CONTAINER_COMMIT = "container.commit"
    IMAGE_VIEW = "image.view"
    IMAGE_PULL = "image.pull"
    IMAGE_REMOVE = "image.remove"
    IMAGE_INSPECT = "image.inspect"
    IMAGE_TAG = "image.tag"
    IMAGE_PUSH = "image.push"
    IMAGE_SAVE = "image.save"
    IMAGE_LOAD = "image.load"
    IMAGE_PRUNE = "image.prune"
    BUILD_VIEW = "build.view"
    BUILD_START = "build.start"
    NETWORK_VIEW = "network.view"
    NETWORK_CREATE = "network.create"
    NETWORK_CONNECT = "network.connect"
    NETWORK_REMOVE = "network.remove"
    NETWORK_PRUNE = "network.prune"
    VOLUME_VIEW = "volume.view"
    VOLUME_CREATE = "volume.create"
    VOLUME_REMOVE = "volume.remove"
    VOLUME_PRUNE = "volume.prune"
    REGISTRY_VIEW = "registry.view"
    REGISTRY_TEST = "registry.test"
    REGISTRY_EDIT = "registry.edit"
    JOB_VIEW = "job.view"
    JOB_CANCEL = "job.cancel"
    JOB_RETRY = "job.retry"


_VIEWER = {
    Action.ENVIRONMENT_VIEW,
    Action.CONTAINER_VIEW,
    Action.CONTAINER_LOGS,
    Action.CONTAINER_USAGE,
    Action.IMAGE_VIEW,
    Action.BUILD_VIEW,
    Action.NETWORK_VIEW,
    Action.VOLUME_VIEW,
    Action.JOB_VIEW,
}

_ADMINISTRATOR = {Action.CONTAINER_HOST, Action.ENVIRONMENT_REACH, Action.REGISTRY_EDIT}

# Inspect shows environment variables, which hold secrets, and processes show their arguments: no viewer's.
_LEAST: dict[Action, Role] = {
    action: Role.VIEWER if action in _VIEWER else Role.ADMINISTRATOR if action in _ADMINISTRATOR else Role.OPERATOR
    for action in Action
}

_OF_JOBS = {
    "pull": Action.IMAGE_PULL,
    "push": Action.IMAGE_PUSH,
    "commit": Action.CONTAINER_COMMIT,
    "build": Action.BUILD_START,
    "load": Action.IMAGE_LOAD,
    "import": Action.IMAGE_LOAD,
    "image-prune": Action.IMAGE_PRUNE,
    "volume-prune": Action.VOLUME_PRUNE,
}

PUBLIC = "public"
SIGNED_IN = "signed in"


def role_in(user: Any, environment: Environment) -> Role | None:
    """The highest role that *user* has in *environment*, by grants of their own or of their teams."""
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMINISTRATOR
    highest = Grant.objects.filter(
        Q(user=user) | Q(team__members=user), Q(environment=environment) | Q(environment__isnull=True)
    ).aggregate(highest=Max("role"))["highest"]
    return Role(highest) if highest else None


def allows(user: Any, action: Action, *, environment: Environment) -> bool:
    """Whether *user* may do *action* in *environment*."""
    role = role_in(user, environment)
    return role is not None and role >= _LEAST[action]


def allows_everywhere(user: Any, action: Action) -> bool:
    """Whether *user* may do *action* in every environment there is or will be: what belongs to none asks this."""
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    if user.is_superuser:
        return True
    mine = Grant.objects.filter(Q(user=user) | Q(team__members=user), environment__isnull=True)
    return mine.filter(role__gte=_LEAST[action]).exists()


def require(user: Any, action: Action, *, environment: Environment) -> None:
    """`PermissionDenied` unless `allows`."""
    if not allows(user, action, environment=environment):
        raise PermissionDenied


def granted(user: Any, environment: Environment) -> frozenset[Action]:
    """Everything that *user* may do in *environment*: what a page shows buttons for."""
    role = role_in(user, environment)
    return frozenset() if role is None else frozenset(action for action in Action if role >= _LEAST[action])


class TooPowerful(PermissionDenied):
    """A container would have, or has, power over its host, and the person may not deal with such a one."""

    def __init__(self, powers: Sequence[Power], words: str = "") -> None:
        self.powers = tuple(powers)
        what = ", ".join(dict.fromkeys(power.words for power in powers))
        words = words or _("Only an administrator may do this with a container that has: %(what)s.")
        super().__init__(words % {"what": what})


def require_harmless(
    user: Any, body: Mapping[str, Any], *, environment: Environment, volumes: Mapping[str, Mapping[str, Any]]
) -> None:
    """`TooPowerful` when *body*, the final one of a container, reaches beyond it and *user* must not.

    *body* may be an answer of inspect as well. *volumes* are the options of the endpoint's volumes by name.
    """
    if allows(user, Action.CONTAINER_HOST, environment=environment):
        return
    if found := powers.powers(body, volumes=volumes, roots=frozenset(settings.BIND_ROOTS)):
        raise TooPowerful(found)


def require_harmless_volume(user: Any, options: Mapping[str, Any], *, environment: Environment) -> None:
    """`TooPowerful` when a volume made with *options* could show files of the host and *user* must not see them."""
    if powers.leads_to_host(options) and not allows(user, Action.CONTAINER_HOST, environment=environment):
        raise TooPowerful([powers.Power("DriverOpts", _("a volume that leads to files of the host"))])


def require_harmless_network(
    user: Any,
    driver: str,
    options: Mapping[str, Any],
    subnets: Iterable[str],
    *,
    routed: Mapping[str, str],
    environment: Environment,
) -> None:
    """`TooPowerful` when a network would reach into the host's own surroundings and *user* must not.

    *routed* are the subnets that the host reaches otherwise, with the links that lead there.
    """
    if allows(user, Action.CONTAINER_HOST, environment=environment):
        return
    if found := powers.network_powers(driver, options, subnets, routed=routed):
        raise TooPowerful(found, _("Only an administrator may make a network that has: %(what)s."))


def action_of_job(kind: str) -> Action:
    """What a job of *kind* does, and whoever starts it must be allowed to."""
    return _OF_JOBS[kind]


View = Callable[..., HttpResponseBase]


def view(action: Action) -> Callable[[View], View]:
    """A page of an environment: `env` in its URL becomes the argument `environment`, after the policy said yes.

    Whoever is not signed in is asked to; whoever has no role in the environment does not learn that it exists.
    """

    def decorate(function: View) -> View:
        @wraps(function)
        def guarded(request: HttpRequest, *, env: str, **arguments: Any) -> HttpResponseBase:
            from webui.environments.selectors import environment_get

            if not request.user.is_authenticated:
                return _to_sign_in(request)
            environment = environment_get(slug=env)
            if environment is None or role_in(request.user, environment) is None:
                raise Http404
            # The page that refuses shows what the person may do here, too.
            request.environment = environment  # type: ignore[attr-defined]
            require(request.user, action, environment=environment)
            return function(request, environment=environment, **arguments)

        guarded.policy = action  # type: ignore[attr-defined]
        return guarded

    return decorate


def signed_in(function: View) -> View:
    """A page for everybody who is signed in."""

    @wraps(function)
    def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        return function(request, **arguments) if request.user.is_authenticated else _to_sign_in(request)

    guarded.policy = SIGNED_IN  # type: ignore[attr-defined]
    return guarded


def public(function: View) -> View:
    """A page for everybody, signed in or not."""
    function.policy = PUBLIC  # type: ignore[attr-defined]
    return function


def _to_sign_in(request: HttpRequest) -> HttpResponseBase:
    if getattr(request, "htmx", None):
        # A fragment must not become a sign-in form inside a page: the whole page goes there, and comes back.
        answer = HttpResponse(status=401)
        answer["HX-Redirect"] = redirect_to_login(request.htmx.current_url_abs_path or "/").url  # type: ignore[attr-defined]
        return answer
    return redirect_to_login(request.get_full_path())
