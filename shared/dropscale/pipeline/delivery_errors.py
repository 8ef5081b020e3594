"""What keeps a result from being delivered, as the state machine and manifests name it."""

from typing import Self

from dropscale.errors import DropscaleError


class ProjectNotComplete(DropscaleError):
    """The project is not complete, or has nothing to download yet."""

    @classmethod
    def without_downloads(cls, project_id: str) -> Self:
        """It is said to be complete, which is what the vendor says a moment too early at times."""
        return cls(
            f"project {project_id} is complete, but has nothing to download yet",
            fix="It is looked at again by itself.",
        )


class ForeignProject(DropscaleError):
    """A project carries the name of another job: its result would be another image."""

    @classmethod
    def of(cls, project_id: str) -> Self:
        """It is not delivered: what was dropped is something else."""
        return cls(
            f"project {project_id} has the name of another job, so its result is another image",
            fix=(
                "Look for this job's own project by its name in your Magic Hour library; "
                "another `revision` in the spec pays for a fresh try."
            ),
        )


class ResultGone(DropscaleError):
    """Neither the vendor nor the results bucket has the result."""


class OutputOccupied(DropscaleError):
    """Something that dropscale did not write lies where the output belongs."""
