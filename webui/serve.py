"""`python -m webui.serve`: bring the database up to date, then serve pages and websockets with daphne's options.

One process for both: most of the time of either goes into loading Django. While there is no administrator, it prints
the link by which one is made, alone in its line.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

import django
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections


def main() -> int:
    try:
        _try_port(sys.argv[1:])
    except OSError as error:
        # daphne says it after everything has loaded, and ends as if all were well: systemd would not start it again.
        sys.stderr.write(f"cannot serve pages: {error}\nStop what listens there, or give another address and port.\n")
        return 1
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("setup_link")
    except DatabaseError as error:
        sys.stderr.write(
            f"the database cannot be brought up to date: {error}\n"
            f"Look whether {settings.STATE_DIR} belongs to this process's user, or whether DATABASE_URL is right.\n"
        )
        return 1
    connections.close_all()  # those that serve have their own
    from daphne.cli import CommandLineInterface  # after Django: it loads the application

    CommandLineInterface().run([*sys.argv[1:], "webui.asgi:application"])
    return 0


def _try_port(arguments: Sequence[str]) -> None:
    """`OSError` where the port among daphne's *arguments* cannot be listened on."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-b", "--bind", default="127.0.0.1")
    parser.add_argument("-p", "--port", type=int)
    known, _ = parser.parse_known_args(arguments)
    if known.port is not None:
        family = socket.AF_INET6 if ":" in known.bind else socket.AF_INET
        socket.create_server((known.bind.strip("[]"), known.port), family=family).close()


if __name__ == "__main__":
    sys.exit(main())
