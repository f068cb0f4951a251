"""The keys that detach a client from a terminal and leave the container running (`ctrl-p,ctrl-q`)."""

from __future__ import annotations

from engine.errors import InvalidParameter

DEFAULT = "ctrl-p,ctrl-q"

_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


class DetachKeys:
    """Watches input for a sequence of keys. Keys that may become the sequence are held back until they do or do not."""

    def __init__(self, text: str = "", *, called: str = "detach") -> None:
        """`InvalidParameter` for what is no sequence, which is *called* as dockerd calls it there."""
        self._sequence = _parse(text or DEFAULT, called=called)
        self._matched = 0
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """What of *data*, and of what was held back, goes on to the terminal; nothing follows once `found`."""
        passed = bytearray()
        for byte in data:
            if byte == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    self.found = True
                    break
                continue
            if self._matched:
                passed += self._sequence[: self._matched]
                self._matched = 0
                if byte == self._sequence[0]:
                    self._matched = 1
                    continue
            passed.append(byte)
        return bytes(passed)


def _parse(text: str, *, called: str) -> bytes:
    """`ctrl-X` with X from a to z or one of `@[\\]^_`, or a character, separated by commas."""
    keys = bytearray()
    for key in text.split(","):
        letter = key.removeprefix("ctrl-")
        if len(key) == 1 and key.isascii():
            keys.append(ord(key))
        elif key.startswith("ctrl-") and len(letter) == 1 and "a" <= letter.lower() <= "z":
            keys.append(ord(letter.lower()) - ord("a") + 1)
        elif key.startswith("ctrl-") and letter in _SPECIAL:
            keys.append(_SPECIAL[letter])
        else:
            raise InvalidParameter(f"Invalid {called} keys ({text[:60]}) provided")
    return bytes(keys)
