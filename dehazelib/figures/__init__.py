"""The figures, drawn from measured rows and from the networks themselves."""
