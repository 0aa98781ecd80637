"""Time and memory of code, on the ground floor: imports nothing else of this package."""
