"""What outlives a request: PostgreSQL, Redis, and the embedded servers behind `embedded:`."""
