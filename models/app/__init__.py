"""What people type: the command line and the demo. `warpkit.models.tasks` does the same from Python."""

REFUSED = 2
"""Exit status: something given cannot be used."""
INTERRUPTED = 130
"""Exit status: stopped by Ctrl-C."""
SOME_SKIPPED = 3
"""Exit status: done, but for some inputs that could not be used."""
