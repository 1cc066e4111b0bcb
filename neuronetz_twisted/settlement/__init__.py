"""What a call really cost, exactly once and without waiting (SPEC 2, R3)."""
