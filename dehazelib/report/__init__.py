"""From measured rows to verdicts, tables and pages."""
