"""Run the command line: ``python -m drn``."""

from drn.commands.main import main

main()
