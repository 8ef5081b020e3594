"""Tags the object that a drop is about with what became of it, for lifecycle rules of its owner."""

import logging
from dataclasses import dataclass

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop
from dropscale.pipeline.parts.ports import DropTags, ObjectGone

_log = logging.getLogger(__name__)

OPEN = "open"
"""What the tag says of a drop that was final, and is worked on again."""

_BY_HAND = "see docs/operations.md for how to tag it by hand"


@dataclass(frozen=True)
class TagDrop:
    """Sets the tag of a drop that has come to its end, and changes it if it is open again."""

    tags: DropTags

    def __call__(self, drop: Drop) -> tuple[CodedWarning, ...]:
        """Tag the very version that the drop is about; return what kept it from that.

        Never raises: the result is delivered, tagged or not.
        """
        if not (drop.is_final or drop.was_final):
            return ()
        version_id = drop.source.lasting_version_id
        if version_id is None:
            return _not_tagged("its bucket keeps no versions, so a newer image could get the tag")
        try:
            value = drop.state if drop.is_final else OPEN
            self.tags.set_tag(drop.source, version_id, value, adds=drop.is_final)
        except ObjectGone:
            return ()
        except DropscaleError as error:
            return _not_tagged(f"{error.message}. {error.fix}")
        except Exception as error:
            _log.exception("drop %s could not be tagged", drop.id)
            return _not_tagged(f"{type(error).__name__}: {error}; {_BY_HAND}")
        return ()


def leave_untagged(_: Drop) -> tuple[CodedWarning, ...]:
    """Do nothing: nobody wants tags."""
    return ()


def _not_tagged(why: str) -> tuple[CodedWarning, ...]:
    return (CodedWarning(WarningCode.NOT_TAGGED, f"the dropped object is not tagged: {why}"),)
