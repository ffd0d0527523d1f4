"""The places for clients on a socket: who gets one, and who makes room when all are taken."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import KeysView
from typing import Protocol

from ser_daemon.wire.peer_log import misbehaviour
from ser_daemon.wire.peers import Peer

log = logging.getLogger(__name__)


class Holder(Protocol):
    """A connection that holds a place."""

    @property
    def peer(self) -> Peer:
        """The process at the other end."""

    @property
    def last_active(self) -> float:
        """When it connected, or last sent something: seconds on a monotonic clock."""

    @property
    def is_busy(self) -> bool:
        """Whether a control verb is being carried out for it."""

    def displace(self) -> None:
        """Disconnect at once, with a reason."""

    def close(self) -> None:
        """Send what is queued, then disconnect."""

    def abort(self) -> None:
        """Disconnect at once."""


class Places:
    """Who is connected to a socket.

    When all places are taken, the user with most connections loses one: of the process with most of them, the one that
    has been idle the longest. A user may hold half of the places. Root and the user of the daemon may hold all: they
    could also end it, and on a machine with one user they are the only ones.
    """

    def __init__(self, size: int, own_uid: int | None = None) -> None:
        """Start empty.

        Args:
            size: number of places.
            own_uid: the user that the daemon runs as; None: this process's.
        """
        self.size = size
        self.rejected = 0
        """Connections that got no place."""
        self.displaced = 0
        """Connections that made room for another."""
        self._privileged = (0, os.geteuid() if own_uid is None else own_uid)
        self._held: dict[Holder, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def holders(self) -> KeysView[Holder]:
        """The connections that hold a place."""
        return self._held.keys()

    def add(self, holder: Holder) -> bool:
        """Give a place; return False where there is none and nobody can make room."""
        uid = holder.peer.uid
        users = Counter(other.peer.uid for other in self._held)
        loser = None
        if uid not in self._privileged and users[uid] >= max(1, self.size // 2):
            loser = uid
        elif len(self._held) >= self.size:
            # Of equals the newcomer's own user.
            loser = max(users, key=lambda user: (users[user], user == uid))
        if loser is not None and not self._make_room(loser, str(holder.peer)):
            self.rejected += 1
            return False
        self._held[holder] = None
        return True

    def remove(self, holder: Holder) -> None:
        """Free a place; no error if it was free already."""
        self._held.pop(holder, None)

    def give_up(self, number: int, reason: str) -> bool:
        """Have so many places fewer than are taken now; return whether a client was disconnected for that.

        Those of the user with most connections are disconnected. At least one place stays.
        """
        before = self.displaced
        for _ in range(number):
            users = Counter(other.peer.uid for other in self._held)
            if not users or not self._make_room(max(users, key=users.__getitem__), reason):
                break
        if self.displaced > before:
            self.size = max(1, len(self._held))
        return self.displaced > before

    def _make_room(self, uid: int, reason: str) -> bool:
        of_user = [holder for holder in self._held if holder.peer.uid == uid]
        processes = Counter(holder.peer.pid for holder in of_user)
        idle = [holder for holder in of_user if not holder.is_busy]
        if not idle:
            return False
        chosen = min(idle, key=lambda holder: (-processes[holder.peer.pid], holder.last_active))
        misbehaviour.log(log, logging.WARNING, f"All places are taken: {chosen.peer} made room for {reason}.")
        self.displaced += 1
        self.remove(chosen)
        chosen.displace()
        return True
