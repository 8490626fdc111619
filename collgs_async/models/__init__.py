"""Value types shared by all packages; nothing here reads a file or opens a connection."""
