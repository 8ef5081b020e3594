"""Errors that prevent a delivery, with the names that state machine and manifests use."""

from typing import Self

from dropscale.errors import DropscaleError


class ProjectNotComplete(DropscaleError):
    """The project is not complete, or has nothing to download yet."""

    @classmethod
    def without_downloads(cls, project_id: str) -> Self:
        """Return the error for a project that is `complete` a moment before its downloads exist."""
        return cls(
            f"project {project_id} is complete, but has nothing to download yet",
            fix="It is checked again automatically.",
        )


class ForeignProject(DropscaleError):
    """A project has the name of another job: its result would be another image."""

    @classmethod
    def of(cls, project_id: str) -> Self:
        """Return the error for a delivery that is refused because of it."""
        return cls(
            f"project {project_id} has the name of another job, so its result is another image",
            fix=(
                "Look for this job's own project by its name in your Magic Hour library; "
                "another `revision` in the spec pays for a new attempt."
            ),
        )

    @classmethod
    def unless_trusted(cls, project_id: str) -> Self:
        """Return the error for an adoption that a person can still insist on."""
        found = cls.of(project_id)
        return cls(
            found.message, fix=f"{found.fix} If you are sure that it is this image's: `--anyway`."
        )

    @classmethod
    def known(cls, project_id: str) -> Self:
        """Return the error for an adoption never allowed: another job's create returned it."""
        return cls(
            f"project {project_id} was created for another image",
            fix="Look for this job's own project by its name in your Magic Hour library.",
        )


class ProjectUnnamed(DropscaleError):
    """A project's name does not identify its job, so a person has to."""

    @classmethod
    def of(cls, project_id: str, name: str | None, job_name: str) -> Self:
        """Return the error for an adoption that a person must confirm."""
        told = "has no name" if name is None else "has a name that dropscale did not make"
        return cls(
            f'project {project_id} {told}, so it is not certain to be "{job_name}"',
            fix="If it shows this image, confirm with `--yes`.",
        )


class ResultGone(DropscaleError):
    """Neither the vendor nor the results bucket has the result."""


class OutputOccupied(DropscaleError):
    """An object that dropscale did not write is at the output's key."""
