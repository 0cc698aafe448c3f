"""What people type: the command line and the demo. `warpkit.models.tasks` does the same from Python."""
