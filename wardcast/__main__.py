"""`python -m wardcast`."""

from wardcast.cli import main

main()
