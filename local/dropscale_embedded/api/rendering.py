"""The worker threads that turn queued projects into outputs."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from threading import Event

from dropscale.upscaler import ProjectStatus
from dropscale_embedded.api.engines import Engine, Stopped
from dropscale_embedded.api.faults import Call, Faults, Outcome
from dropscale_embedded.api.picture import ImageFault, decode, encode
from dropscale_embedded.api.projects import Project, ProjectError, Projects, UnknownProject
from dropscale_embedded.api.sources import read_image
from dropscale_embedded.api.storage import Storage

_logger = logging.getLogger(__name__)


def output_path(project_id: str) -> str:
    """Return the storage path of a project's output; as at the vendor, all have the same suffix."""
    return f"{project_id}/output.png"


class RenderPool:
    """Renders projects in submission order, a fixed number at a time."""

    def __init__(
        self,
        *,
        projects: Projects,
        storage: Storage,
        engine: Engine,
        workers: int,
        faults: Faults,
    ) -> None:
        self._projects = projects
        self._storage = storage
        self._engine = engine
        self._faults = faults
        self._stopping = Event()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="embedded-api-render")

    def submit(self, project_id: str) -> None:
        """Render the project when a thread is free; `projects` gets the outcome."""
        project = self._projects.get(project_id)
        fault = self._faults.draw(Call.RENDER, (project.name, project.image_path))
        if isinstance(fault, Outcome):
            self._end(project, fault)
        else:
            self._threads.submit(self._render, project_id)

    def close(self) -> None:
        """Abandon queued and running projects and wait until every thread has ended."""
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)

    def _end(self, project: Project, outcome: Outcome) -> None:
        if outcome.status == ProjectStatus.ERROR:
            error = ProjectError(outcome.code, "As the fault plan says")
            self._projects.fail(project.id, error)
        else:
            self._projects.hold(project.id, outcome.status)

    def _render(self, project_id: str) -> None:
        # Deleted while queued or rendering: nobody will ask for the outcome.
        with suppress(UnknownProject, Stopped):
            project = self._projects.start(project_id)
            try:
                output = self._upscale(project)
            except ImageFault as fault:
                self._projects.fail(project_id, ProjectError(fault.code, str(fault)))
            except Stopped:
                raise
            except Exception:
                _logger.exception("project %s could not be rendered", project_id)
                message = "The embedded API failed; its log says why"
                self._projects.fail(project_id, ProjectError("internal_error", message))
            else:
                self._publish(project_id, output)

    def _upscale(self, project: Project) -> bytes:
        picture = self._engine.upscale(
            decode(read_image(project.image_path, self._storage)),
            scale_factor=project.params.scale_factor,
            mode=project.params.mode,
            stopping=self._stopping,
        )
        return encode(picture)

    def _publish(self, project_id: str, output: bytes) -> None:
        self._storage.write(output_path(project_id), BytesIO(output))
        try:
            self._projects.complete(project_id)
        except UnknownProject:
            self._storage.delete(output_path(project_id))
