"""May this request run: who is calling, with which model, within which limits (SPEC 5-7)."""
