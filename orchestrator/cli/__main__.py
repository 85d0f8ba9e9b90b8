"""`python -m orchestrator.cli`: the same as the command `frostline`."""

from orchestrator.cli.main import main

main()
