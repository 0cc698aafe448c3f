"""`python -m warpkit.models.app` is the command `warpkit`."""

from warpkit.models.app.cli import main

main()
