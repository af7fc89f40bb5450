"""`python -m healthctl`."""

from healthctl.cli import main

main()
