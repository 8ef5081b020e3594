import io
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from PIL import Image

from dropscale.upscaler import Mode
from dropscale_embedded.api.faults import FaultPlan, Faults
from dropscale_embedded.api.picture import Picture
from dropscale_embedded.api.projects import Projects, Tier, UpscaleParams
from dropscale_embedded.api.rendering import RenderPool
from dropscale_embedded.api.storage import Storage


def test_the_output_of_a_project_deleted_while_rendering_is_not_kept(tmp_path: Path) -> None:
    upload = "api-assets/a/image.png"
    projects = Projects(
        credits_granted=50, tier=Tier.CREATOR, clock=lambda: datetime(2026, 7, 1, tzinfo=UTC)
    )
    storage = Storage(tmp_path)
    image = io.BytesIO()
    Image.new("L", (2, 2)).save(image, "PNG")
    image.seek(0)
    storage.write(upload, image)
    project = projects.create(UpscaleParams(2, Mode.BALANCED), image_path=upload, name="cat")
    rendered = Event()

    class DeletesTheProject:
        description = "deletes the project"

        def upscale(
            self, picture: Picture, *, scale_factor: int, mode: Mode, stopping: Event
        ) -> Picture:
            projects.delete(project.id)
            rendered.set()
            return picture

    pool = RenderPool(
        projects=projects,
        storage=storage,
        engine=DeletesTheProject(),
        workers=1,
        faults=Faults(FaultPlan()),
    )
    pool.submit(project.id)
    assert rendered.wait(10)
    pool.close()

    assert list(tmp_path.iterdir()) == [storage.file(upload)]
