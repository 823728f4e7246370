"""What `budgets.manager` needs to be LiteLLM's class: its floats, its file, and its two endpoints."""
