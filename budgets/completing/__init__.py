"""`completion` and `acompletion`: one call in OpenAI's shape, to any provider, under budgets."""
