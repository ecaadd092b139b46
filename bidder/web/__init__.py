"""Read-only: a status page, health, and metrics, served from inside the daemon's own loop."""
