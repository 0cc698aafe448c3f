"""Pictures and videos: read, written whole or not at all, and drawn on."""
