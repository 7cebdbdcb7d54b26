"""``python -m lagrangenet`` is the command line."""

from lagrangenet.cli import main

main()
