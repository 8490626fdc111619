"""The subcommands, one module per group."""
