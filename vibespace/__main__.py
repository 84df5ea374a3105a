"""`python -m vibespace` is the command `vibespace`."""

from vibespace_cli.main import main

main()
