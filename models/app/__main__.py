"""`python -m warpkit.models.app` is the command `warpkit`."""

from warpkit.models.app.cli import main

if __name__ == "__main__":  # processes that are started anew import this module under another name
    main()
