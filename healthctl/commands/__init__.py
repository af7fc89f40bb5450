"""The subcommands: each module has one `command`."""
