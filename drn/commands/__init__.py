"""The command line and its work on files."""
