"""Every page. Each view declares its policy; `tests/webui/test_policy.py` walks them all."""

from django.contrib import admin
from django.urls import include, path

from webui.accounts import views as accounts
from webui.dashboard import views as dashboard
from webui.jobs import views as jobs

urlpatterns = [
    path("", dashboard.home, name="home"),
    path("setup/<str:token>/", accounts.setup, name="setup"),
    path("session/", accounts.session, name="session"),
    path("accounts/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/indicator/", jobs.job_indicator, name="job-indicator"),
    path("e/<slug:env>/", dashboard.dashboard, name="dashboard"),
    path("e/<slug:env>/find/", dashboard.find, name="find"),
    path("e/<slug:env>/containers/", include("webui.containers.urls")),
    path("e/<slug:env>/images/", include("webui.images.urls")),
    path("e/<slug:env>/builds/", include("webui.builds.urls")),
    path("e/<slug:env>/networks/", include("webui.networks.urls")),
    path("e/<slug:env>/volumes/", include("webui.volumes.urls")),
    path("e/<slug:env>/registries/", include("webui.registries.urls")),
    path("e/<slug:env>/jobs/<uuid:job_id>/", jobs.job_detail, name="job"),
    path("e/<slug:env>/jobs/<uuid:job_id>/cancel/", jobs.job_cancel, name="job-cancel"),
    path("e/<slug:env>/jobs/<uuid:job_id>/retry/", jobs.job_retry, name="job-retry"),
]
