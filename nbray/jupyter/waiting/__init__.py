"""What is seen while one waits, and when the work has ended: bars, receipts."""
