"""May this model be trusted: scenarios, the runner, scorers, statistics, the gate, certification."""
