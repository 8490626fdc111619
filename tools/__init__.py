"""Programs that make the resources of the package; they are not part of it."""
