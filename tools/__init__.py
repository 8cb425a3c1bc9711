"""Programs for maintainers: load, attacks, timing and failures of the Hub."""
