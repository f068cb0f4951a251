"""The websockets there are. Each consumer names the action that its policy is asked for."""

from django.urls import path

from webui.containers.consumers import GaugesConsumer, LogsConsumer, StatsConsumer, TerminalConsumer
from webui.live.consumers import EventsConsumer

websocket_urlpatterns = [
    path("ws/e/<slug:env>/events/", EventsConsumer.as_asgi()),
    path("ws/e/<slug:env>/usage/", GaugesConsumer.as_asgi()),
    path("ws/e/<slug:env>/containers/<str:container_id>/logs/", LogsConsumer.as_asgi()),
    path("ws/e/<slug:env>/containers/<str:container_id>/stats/", StatsConsumer.as_asgi()),
    path("ws/e/<slug:env>/containers/<str:container_id>/terminal/", TerminalConsumer.as_asgi()),
]
