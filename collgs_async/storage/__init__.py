"""Files on disk: part files, published archives, locks, verification."""
