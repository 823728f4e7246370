"""
The self-hosted server: one process on a store, for many programs and machines.

It decides nothing about money: every request ends in one operation of an engine.
"""
