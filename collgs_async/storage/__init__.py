"""Files on disk: unfinished and finished archives, locks, verification."""
