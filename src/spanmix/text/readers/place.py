"""Know what git says of a folder's entries, and what they are called in a corpus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from spanmix.text.dropped import printable
from spanmix.text.readers.git_checkout import Checkout, open_checkout
from spanmix.text.readers.git_patterns import RULE_FILES, Rules
from spanmix.text.readers.origin import Origin

_NO_RULES = Rules()


@dataclass(frozen=True)
class Place:
    """A folder, for its entries.

    Args:
        inside: what stands in front of their names: the folder's path inside its checkout, or below and with
            the folder that was named as a source; with a slash behind it, or ``""``.
        root: what of `inside` names the source's folder; ``""`` in a checkout.
        checkout: the one that it lies in.
        rules: those that hold for its entries.
    """

    inside: str
    root: str = ""
    checkout: Checkout | None = None
    rules: Rules = _NO_RULES

    @classmethod
    def outside(cls, name: str) -> Place:
        """Return a source's folder, or a folder of it, that lies in no checkout."""
        inside = f"{name}/" if name else ""
        return cls(inside, inside)

    @classmethod
    def top_of(cls, checkout: Checkout) -> Place:
        """Return a checkout's own folder, without the rules of the files in it."""
        return cls("", "", checkout, checkout.rules)

    def below(self, name: str) -> Place:
        """Return a folder in it, without the rules of the files in that."""
        return replace(self, inside=f"{self.inside}{name}/")

    def with_rules_of(self, folder: str, names: Iterable[str]) -> Place:
        """Return the same with the rules that the folder holds; `names` are those of its entries."""
        return (
            self
            if self.checkout is None
            else replace(self, rules=self.rules.below(folder, self.inside, names))
        )

    def ignores(self, name: str, is_folder: bool) -> bool:
        """Return whether git leaves out an entry."""
        return self.checkout is not None and self.rules.ignores(self.inside + name, is_folder)

    def names_submodule(self, name: str) -> bool:
        """Return whether ``.gitmodules`` names an entry."""
        return self.checkout is not None and self.inside + name in self.checkout.submodules

    def origin(self, file: str, name: str) -> Origin:
        """Return what an entry at `file` is called."""
        repository = "" if self.checkout is None else self.checkout.repository
        host = "" if self.checkout is None else self.checkout.host
        return Origin(printable(file), printable(self.inside + name), printable(self.root), repository, host)


def enclosing_checkout(folder: Path) -> Place | None:
    """Return a folder that lies in a checkout, or is one, without the rules of the files in it.

    The nearest ``.git`` from where the folder really is upwards is asked. A folder that git ignores, or that
    lies in one that it does, is none of the checkout's: it is data that merely lies there.
    """
    real = folder.resolve()
    for top in (real, *real.parents):
        if (top / ".git").exists() and (checkout := open_checkout(top)) is not None:
            place = Place.top_of(checkout)
            for name in real.relative_to(top).parts:
                place = place.with_rules_of(str(top / place.inside), RULE_FILES)
                if place.ignores(name, is_folder=True) or place.names_submodule(name):
                    return None
                place = place.below(name)
            return place
    return None
