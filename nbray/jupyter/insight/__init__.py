"""Looking inside: who holds what, timelines, logs, receipts, environments, signatures."""
