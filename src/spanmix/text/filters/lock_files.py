"""Know the files in which a package manager writes down the versions it chose."""

from __future__ import annotations

_NAMES_TEXT = """
package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.lock cargo.lock
poetry.lock pipfile.lock pdm.lock uv.lock pixi.lock conda-lock.yml composer.lock gemfile.lock go.sum
gopkg.lock glide.lock mix.lock rebar.lock pubspec.lock podfile.lock cartfile.resolved package.resolved
packages.lock.json paket.lock project.assets.json gradle.lockfile buildscript-gradle.lockfile
.terraform.lock.hcl flake.lock conan.lock vcpkg-lock.json shard.lock stack.yaml.lock cabal.project.freeze
esy.lock berksfile.lock chart.lock .pnp.js .pnp.cjs .pnp.loader.mjs
"""
_NAMES = frozenset(_NAMES_TEXT.split())


def lock_file_name(path: str) -> str | None:
    """Return a path's last part if it is a lock file of a package manager, or None.

    >>> lock_file_name("web/package-lock.json"), lock_file_name("src/lock.py")
    ('package-lock.json', None)
    """
    name = path.rpartition("/")[2]
    return name if name.lower() in _NAMES or name.lower().endswith(".esy.lock") else None
