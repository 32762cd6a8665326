"""Logs of other tools, read into the figures, the report and the gate of this one."""
