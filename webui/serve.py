"""`python -m webui.serve`: bring the database up to date, then serve pages and websockets with daphne's options.

One process for both: most of the time of either goes into loading Django. While there is no administrator, it prints
the link by which one is made, alone in its line.
"""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections


def main() -> int:
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


if __name__ == "__main__":
    sys.exit(main())
