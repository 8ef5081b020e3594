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
            fix="It is checked again automatically.",
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
                "another `revision` in the spec pays for a new attempt."
            ),
        )

    @classmethod
    def unless_trusted(cls, project_id: str) -> Self:
        """It is not adopted, unless a person knows better."""
        found = cls.of(project_id)
        return cls(
            found.message, fix=f"{found.fix} If you are sure that it is this image's: `--anyway`."
        )

    @classmethod
    def known(cls, project_id: str) -> Self:
        """It is not adopted, whatever a person says: it came as the answer to another's create."""
        return cls(
            f"project {project_id} was created for another image",
            fix="Look for this job's own project by its name in your Magic Hour library.",
        )


class ProjectUnnamed(DropscaleError):
    """A project's name does not tell which job it is of, so a person has to."""

    @classmethod
    def of(cls, project_id: str, name: str | None, job_name: str) -> Self:
        """It is not adopted until a person says that it is the job's."""
        told = "has no name" if name is None else "has a name that dropscale did not make"
        return cls(
            f'project {project_id} {told}, so nobody knows that it is "{job_name}"',
            fix="If it shows this image, confirm with `--yes`.",
        )


class ResultGone(DropscaleError):
    """Neither the vendor nor the results bucket has the result."""


class OutputOccupied(DropscaleError):
    """Something that dropscale did not write lies where the output belongs."""
