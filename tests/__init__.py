"""A package, so that tests share `tests.support` by one name wherever they are run from."""
