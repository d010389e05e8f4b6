"""The commands: one file for each word that follows `ptv2`, with a `main(arguments) -> exit code`."""
