"""What an operator sees and does: logs, readiness."""
