"""Whose a stored reply is."""

from __future__ import annotations


class Owners:
    """Who got a reply, by the reply's id. The latest are remembered, in this process only."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._users: dict[str, tuple[str, str]] = {}

    def remember(self, reply_id: str, user: str, target: str) -> None:
        """*user* was given this reply by *target*."""
        if len(self._users) >= self._MOST:
            self._users.pop(next(iter(self._users)))
        self._users[reply_id] = (user, target)

    def target_of(self, reply_id: str, user: str) -> str | None:
        """Where the reply came from; `None`: it is not known, or is somebody else's."""
        owner, target = self._users.get(reply_id, ("", ""))
        return target if target and owner == user else None
