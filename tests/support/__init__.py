"""What several tests share: stores to try, processes that end on demand, engines put together."""
