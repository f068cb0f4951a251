"""Labels and options as people write them: one `name=value` a line."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _

MOST = 200


class PairsField(forms.CharField):
    """A text area whose lines become a dictionary; a name without a value has an empty one."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "max_length": 64_000, **options})
        self.widget.attrs.update(rows=3)

    def clean(self, value: str) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for line in super().clean(value).splitlines():
            name, _separator, content = line.strip().partition("=")
            if not name and not content:
                continue
            if not name.strip() or any(character.isspace() for character in name.strip()):
                raise forms.ValidationError(
                    _("“%(line)s” is not name=value: a name has no spaces.") % {"line": line[:80]}
                )
            pairs[name.strip()] = content.strip()
        if len(pairs) > MOST:
            raise forms.ValidationError(_("No more than %(most)d.") % {"most": MOST})
        return pairs
