"""The container pages: a list, a form, and one page with tabs for each container."""

from __future__ import annotations

import json
from typing import Any

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.containers import commands, committing, selectors, services, troubles
from webui.containers.acting import SIGNALS, ActForm
from webui.containers.committing import CommitForm
from webui.containers.consumers import SHELLS
from webui.containers.updating import UpdateForm
from webui.environments import bulk
from webui.environments.models import Environment
from webui.jobs.services import TooManyJobs

TABS = (
    ("overview", gettext_lazy("Overview"), Action.CONTAINER_VIEW),
    ("logs", gettext_lazy("Logs"), Action.CONTAINER_LOGS),
    ("terminal", gettext_lazy("Terminal"), Action.CONTAINER_EXEC),
    ("usage", gettext_lazy("Usage"), Action.CONTAINER_USAGE),
    ("files", gettext_lazy("Files"), Action.CONTAINER_FILES),
    ("changes", gettext_lazy("Changes"), Action.CONTAINER_CHANGES),
    ("inspect", gettext_lazy("Inspect"), Action.CONTAINER_INSPECT),
)
TAILS = ("100", "1000", "10000", "all")


@policy.view(Action.CONTAINER_VIEW)
@require_GET
def container_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    state = selectors.ListState.from_query(request.GET)
    commands_too = policy.allows(request.user, Action.CONTAINER_INSPECT, environment=environment)
    containers = selectors.container_list(environment=environment, state=state, commands=commands_too)
    template = "containers/_list.html" if request.htmx else "containers/list.html"
    return render(
        request, template, {"containers": containers, "columns": containers.state.columns, "choices": selectors.COLUMNS}
    )


@policy.view(Action.CONTAINER_VIEW)
@require_GET
def container_row(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """One row, for the live list; empty when the container is gone, which takes the row away."""
    container = selectors.container_row(environment=environment, container_id=container_id)
    if container is None:
        return HttpResponse("")
    columns = selectors.ListState.from_query(request.GET).columns
    return render(request, "containers/_row.html", {"container": container, "columns": columns})


@policy.view(Action.CONTAINER_REMOVE)
@require_GET
def containers_loss(request: HttpRequest, environment: Environment) -> HttpResponse:
    """What would be lost with the containers that the query names: a fragment of the dialog that asks."""
    chosen = request.GET.getlist("containers")[: bulk.MOST_AT_ONCE]
    loss = selectors.containers_loss(environment=environment, containers=chosen)
    return render(request, "containers/_loss.html", {"loss": loss})


@policy.view(Action.CONTAINER_REMOVE)
@require_GET
def containers_stopped(request: HttpRequest, environment: Environment) -> HttpResponse:
    """The containers that do not run and what each would free, to choose from: a dialog."""
    rows = selectors.containers_stopped(environment=environment)
    return render(request, "containers/_stopped.html", {"rows": rows, "total": sum(row.size_rw or 0 for row in rows)})


@policy.view(Action.CONTAINER_VIEW)
@require_POST
def container_act(request: HttpRequest, environment: Environment) -> HttpResponse:
    """Do something to the chosen containers. The service asks the policy for the very action."""
    form = ActForm(request.POST)
    if not form.is_valid():
        return HttpResponseBadRequest(" ".join(str(words) for errors in form.errors.values() for words in errors))
    outcome = services.containers_act(
        environment=environment,
        user=request.user,
        verb=form.verb_wanted,
        containers=request.POST.getlist("containers"),
        how=form.how(),
    )
    done = _done(form.verb_wanted, outcome.done)
    removal = form.verb_wanted is services.Verb.REMOVE
    return bulk.answer(request, environment, outcome, done=done, page="containers", removal=removal)


@policy.view(Action.CONTAINER_VIEW)
@require_GET
def container_overview(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    context = detail_context(environment, container_id, "overview", request)
    if policy.allows(request.user, Action.CONTAINER_INSPECT, environment=environment):
        body = selectors.container_body(environment=environment, container=context["container"])
        context["command"] = commands.run_command(body, name=context["container"].name)
    return render(request, "containers/_overview.html" if request.htmx else "containers/overview.html", context)


@policy.view(Action.CONTAINER_VIEW)
@require_GET
def container_head(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """The head of a container's page: its state and what can be done, refetched when it changes."""
    return render(request, "containers/_head.html", detail_context(environment, container_id, "", request))


@policy.view(Action.CONTAINER_LOGS)
@require_GET
def container_logs(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    context = detail_context(environment, container_id, "logs", request)
    return render(request, "containers/logs.html", {**context, "tails": TAILS})


@policy.view(Action.CONTAINER_LOGS)
@require_GET
def container_logs_download(request: HttpRequest, environment: Environment, container_id: str) -> StreamingHttpResponse:
    """The whole log as a file, streamed."""
    container = selectors.container_detail(environment=environment, container=container_id)
    lines = selectors.log_lines(environment=environment, container=container.id, timestamps="timestamps" in request.GET)
    answer = StreamingHttpResponse(lines, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{container.name}.log"'
    return answer


# xterm.js writes its colours into a style element of its own, and only this page shows it.
@policy.view(Action.CONTAINER_EXEC)
@require_GET
@csp_update({"style-src": [SELF, UNSAFE_INLINE]})
def container_terminal(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    context = detail_context(environment, container_id, "terminal", request)
    return render(request, "containers/terminal.html", {**context, "shells": SHELLS})


@policy.view(Action.CONTAINER_INSPECT)
@require_GET
def container_inspect(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    context = detail_context(environment, container_id, "inspect", request)
    context["document"] = json.dumps(context["container"].raw, indent=2, ensure_ascii=False)
    return render(request, "containers/inspect.html", context)


@policy.view(Action.CONTAINER_USAGE)
@require_GET
def container_usage(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    return render(request, "containers/usage.html", detail_context(environment, container_id, "usage", request))


@policy.view(Action.CONTAINER_PROCESSES)
@require_GET
def container_processes(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """The table of processes, a fragment that the usage page fetches every few seconds."""
    table = selectors.container_processes(environment=environment, container=container_id)
    return render(request, "containers/_processes.html", {"table": table})


@policy.view(Action.CONTAINER_CHANGES)
@require_GET
def container_changes(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    context = detail_context(environment, container_id, "changes", request)
    changes = selectors.container_changes(environment=environment, container=context["container"].id)
    return render(request, "containers/changes.html", {**context, "changes": changes})


@policy.view(Action.CONTAINER_DEATHS)
@require_GET
def container_deaths(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """Why the container ended, each time: a fragment of the overview."""
    deaths = selectors.container_deaths(environment=environment, container=container_id)
    return render(request, "containers/_deaths.html", {"deaths": deaths})


@policy.view(Action.CONTAINER_UPDATE)
@require_http_methods(["GET", "POST"])
def container_update(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    context = detail_context(environment, container_id, "", request)
    container = context["container"]
    form = UpdateForm(request.POST or None, container=container)
    if request.method == "POST" and form.is_valid():
        try:
            warnings = services.container_update(
                environment=environment, user=request.user, container=container, changes=form.changes()
            )
        except gateway.ClientError as error:
            context["error"] = str(error)
        else:
            messages.success(request, _("Container %(name)s is changed.") % {"name": form.cleaned_data["name"]})
            for warning in warnings:
                messages.warning(request, warning)
            return redirect("container", env=environment.slug, container_id=container.short_id)
    status = 422 if request.method == "POST" else 200
    return render(request, "containers/update.html", {**context, "form": form}, status=status)


@policy.view(Action.CONTAINER_COMMIT)
@require_POST
def container_commit(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """Make an image of a container: a job, shown in the place of the form."""
    form = CommitForm(request.POST, auto_id="commit-%s")
    if not form.is_valid():
        return render(request, "containers/_commit.html", {"form": form}, status=422)
    try:
        job = committing.container_commit(
            environment=environment, user=request.user, container=container_id, **form.cleaned_data
        )
    except TooManyJobs as error:
        form.add_error(None, error)
        return render(request, "containers/_commit.html", {"form": form}, status=422)
    if request.htmx:
        return render(request, "containers/_commit.html", {"job": job, "may_act": True})
    return redirect("job", env=environment.slug, job_id=job.pk)


def detail_context(environment: Environment, container_id: str, tab: str, request: HttpRequest) -> dict[str, Any]:
    """What the pages of one container show around their own part."""
    container = selectors.container_detail(environment=environment, container=container_id)
    granted = policy.granted(request.user, environment)
    return {
        "container": container,
        "taken": troubles.port_taken(environment=environment, container=container),
        "tab": tab,
        "signals": SIGNALS,
        "commit_form": CommitForm(auto_id="commit-%s"),
        "tabs": [
            (name, label, _address(name, environment, container)) for name, label, action in TABS if action in granted
        ],
    }


def _address(tab: str, environment: Environment, container: gateway.ContainerDetail) -> str:
    name = "container" if tab == "overview" else f"container-{tab}"
    return reverse(name, kwargs={"env": environment.slug, "container_id": container.short_id})


def _done(verb: services.Verb, count: int) -> str:
    """What an action on *count* containers did."""
    words = {
        services.Verb.START: ngettext("%(n)d container started.", "%(n)d containers started.", count),
        services.Verb.STOP: ngettext("%(n)d container stopped.", "%(n)d containers stopped.", count),
        services.Verb.RESTART: ngettext("%(n)d container restarted.", "%(n)d containers restarted.", count),
        services.Verb.KILL: ngettext("%(n)d container killed.", "%(n)d containers killed.", count),
        services.Verb.PAUSE: ngettext("%(n)d container paused.", "%(n)d containers paused.", count),
        services.Verb.UNPAUSE: ngettext("%(n)d container goes on.", "%(n)d containers go on.", count),
        services.Verb.REMOVE: ngettext("%(n)d container removed.", "%(n)d containers removed.", count),
    }[verb]
    return words % {"n": count}
