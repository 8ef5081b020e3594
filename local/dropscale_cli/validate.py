"""`dropscale validate`: everything that is wrong with specs, without a stack."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import Fault, Severity, SpecInvalid
from dropscale.specs.keys import MANIFEST_SUFFIX, SPEC_SUFFIXES, KeyKind, kind_by_name, meant_image
from dropscale.specs.parse import parse_folder_spec
from dropscale_cli.drops import files_below, is_fit_name
from dropscale_cli.fault_report import report, tally
from dropscale_cli.spec_tree import SpecTree
from dropscale_cli.terminal import say

_NO_SPECS = frozenset({KeyKind.OTHER, KeyKind.UNSUPPORTED})
_OWN_DROPS = {KeyKind.STAND_ALONE, KeyKind.MISNAMED}
_ANY_IMAGE = "*"
"""Stands for an image without a sidecar."""


def validate(
    paths: Sequence[Path],
    root: Path | None,
    output_format: str,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> int:
    """Print what is wrong with the specs among files, and in folders with all below them.

    Return the exit code: 1 if anything is worse than a warning, else 0.

    Raises:
        click.UsageError: a path does not lie below the root.
    """
    checks: dict[str, _Check] = {}
    for path in paths:
        tree = SpecTree.around(path, root, suffixes)
        check = checks.setdefault(tree.root, _Check(tree))
        if path.is_dir():
            for file in files_below(path):
                check.file(tree.key_of(file), is_named=False)
        else:
            check.file(tree.key_of(path), is_named=True)
    for check in checks.values():
        check.end()
    faults = sorted(
        {fault for check in checks.values() for fault in check.faults},
        key=lambda fault: (fault.path, fault.line, fault.column, fault.message),
    )
    report(faults, output_format)
    if output_format == "text":
        specs = len({spec for check in checks.values() for spec in check.specs})
        say(f"{specs} spec{'s' * (specs != 1)}: {tally(faults)}", to_stderr=True)
    return int(any(fault.severity is Severity.ERROR for fault in faults))


@dataclass
class _Check:
    """Collects the faults of a tree's specs, by looking at each drop as a stack would."""

    tree: SpecTree
    faults: set[Fault] = field(default_factory=set)
    specs: set[str] = field(default_factory=set)
    drops: dict[str, bool] = field(default_factory=dict)
    """Whether they are any, by the keys of what has been looked at."""

    def file(self, key: str, *, is_named: bool) -> None:
        """Check what specs come to for a file; one that a person has named must be a spec."""
        kind = kind_by_name(key, self.tree.suffixes)
        if kind in _NO_SPECS and not is_named:
            return
        if not is_fit_name(key):
            readable = os.fsencode(key).decode("utf-8", "backslashreplace")
            self._note(readable, "the name is not printable UTF-8", "rename the file")
        elif kind is KeyKind.IMAGE:
            self._drop(key)
        elif kind is KeyKind.SIDECAR or (
            kind is KeyKind.MISNAMED and meant_image(key, self.tree.suffixes)
        ):
            self._sidecar(key)
        elif kind is KeyKind.FOLDER_SPEC or (kind in _OWN_DROPS and self._drop(key)):
            self.specs.add(key)
        elif is_named:
            self.specs.add(key)
            self.faults.update(_faults_of_no_spec(key, kind, self.tree))

    def end(self) -> None:
        """Check the folder specs that no drop had a need of, and note what was unreadable."""
        for key in self.specs:
            if kind_by_name(key) is KeyKind.FOLDER_SPEC:
                folder = key.removesuffix(os.path.basename(key))
                is_read = ("", folder) in self.tree.resolver.folder_specs
                if not is_read:
                    self._drop(folder + _ANY_IMAGE)
        self.faults.update(self.tree.unreadable)

    def _sidecar(self, key: str) -> None:
        self.specs.add(key)
        for image_key in self.tree.images_of(key):
            self._drop(image_key)
        if not os.path.isfile(image_key):
            message = f"there is no image {os.path.basename(image_key)} beside this spec"
            self._note(key, message, "see whether its name is right", Severity.WARNING)

    def _drop(self, key: str) -> bool:
        """Check what specs come to for a drop; return whether it is any."""
        if key not in self.drops:
            try:
                resolved = self.tree.resolve(key)
            except SpecInvalid as error:
                self.faults.update(error.faults)
                self.drops[key] = True
            else:
                self.faults.update(resolved.warnings if resolved else ())
                self.drops[key] = resolved is not None
        return self.drops[key]

    def _note(self, key: str, message: str, hint: str, severity: Severity = Severity.ERROR) -> None:
        self.faults.add(Fault(path=key, message=message, hint=hint, severity=severity))


def _faults_of_no_spec(key: str, kind: KeyKind, tree: SpecTree) -> Sequence[Fault]:
    """Return why a file is no spec that stands alone, though a person takes it for one."""
    if kind in _NO_SPECS:
        endings = ", ".join(SPEC_SUFFIXES)
        hint = f"the names of specs end in {endings}; a manifest ({MANIFEST_SUFFIX}) is none"
        return [Fault(path=key, message="is no spec, by its name", hint=hint)]
    content = tree.read("", key, MAX_BYTES + 1)
    if content is None:
        return ()
    try:
        parse_folder_spec(content, key)  # like it, the file has no `assets`
    except SpecInvalid as error:
        return error.faults
    hint = "give assets.image_file_path, or the spec its image's full name, e.g. cat.jpg.yaml"
    return [Fault(path=key, message="names no image", hint=hint)]
