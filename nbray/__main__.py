"""`python -m nbray`: the command line."""

from nbray.cli import main

main(prog_name="nbray")
