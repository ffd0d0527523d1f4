"""What several measurements share: processes, signals, delays, instruction counts, tables and pictures."""
