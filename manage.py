#!/usr/bin/env python3
"""Run a command of Watchbill, for example `manage.py up` or `manage.py migrate`."""

import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
