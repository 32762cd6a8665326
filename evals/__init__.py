"""The measurement: tasks, scorers, statistics, reports and the gate."""
