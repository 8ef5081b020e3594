"""Finds an image's sidecar and merges it over the stack's defaults."""

from collections.abc import Sequence
from dataclasses import dataclass

from dropscale.pipeline.ports import SpecFiles
from dropscale.spec.keys import sidecar_keys_of
from dropscale.spec.merge import merge
from dropscale.spec.model import EffectiveSpec, Spec
from dropscale.spec.parse import MAX_BYTES, SidecarAmbiguous, SpecInvalid, parse_spec

_DEFAULTS_ORIGIN = "stack parameters"


@dataclass(frozen=True)
class SpecResolver:
    """Resolves effective specs; `suffixes` are those that a sidecar may end in."""

    files: SpecFiles
    defaults: Spec
    suffixes: Sequence[str]
    sidecar_required: bool

    def __call__(self, bucket: str, key: str) -> EffectiveSpec | None:
        """Return the effective spec of an image; None: it must wait for its sidecar.

        Raises:
            SpecInvalid: the sidecar cannot be used.
            SidecarAmbiguous: there are two.
        """
        found = {
            name: text
            for name in sidecar_keys_of(key, self.suffixes)
            if (text := self.files.read(bucket, name, MAX_BYTES + 1)) is not None
        }
        if len(found) > 1:
            raise SidecarAmbiguous(
                f"{key} has more than one sidecar: {' and '.join(found)}",
                fix="Keep one and drop the image again.",
            )
        if not found and self.sidecar_required:
            return None
        layers = [(_DEFAULTS_ORIGIN, self.defaults)]
        layers += [(name, _sidecar(text, name, key)) for name, text in found.items()]
        return merge(layers)


def _sidecar(text: bytes, name: str, image_key: str) -> Spec:
    spec = parse_spec(text, name)
    own_names = {image_key, image_key.rpartition("/")[2]}
    if spec.assets is not None and spec.assets.image_file_path not in own_names:
        raise SpecInvalid(
            f"{name}: assets.image_file_path: a sidecar can only name its own image, {image_key}",
            fix="Leave the field out.",
        )
    return spec
