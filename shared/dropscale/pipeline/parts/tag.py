"""Tags a drop's object with the drop's final state, for its owner's lifecycle rules."""

import logging
from dataclasses import dataclass

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop
from dropscale.pipeline.parts.ports import DropTags, ObjectGone

_log = logging.getLogger(__name__)

OPEN = "open"
"""The tag's value for a drop that was final and is open again."""

_BY_HAND = "see docs/operations.md for how to tag it by hand"


@dataclass(frozen=True)
class TagDrop:
    """Sets the tag of a final drop, and changes it if the drop is open again."""

    tags: DropTags

    def __call__(self, drop: Drop) -> tuple[CodedWarning, ...]:
        """Tag exactly the version that the drop is about; return a warning if that failed.

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
    """Do nothing: tags are turned off."""
    return ()


def _not_tagged(why: str) -> tuple[CodedWarning, ...]:
    return (CodedWarning(WarningCode.NOT_TAGGED, f"the dropped object is not tagged: {why}"),)
