#!/usr/bin/env python
"""Django's command line for Havre's web side."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
    execute_from_command_line(sys.argv)
