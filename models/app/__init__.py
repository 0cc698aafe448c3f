"""What people type: the command line and the demo. Everything they do can be done from Python with `warpkit.models.tasks`."""
