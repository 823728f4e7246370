"""The spending cap for language-model calls that is true."""
