"""The values that travel between the packages; nothing here reads a file or opens a connection."""
