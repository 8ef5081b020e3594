import io
import json
import resource
import sys
from contextlib import redirect_stdout

import pytest
import pyvips

from dropscale.image import vips, vips_worker
from dropscale.image.pixels import PixelsUnreadable


@pytest.fixture
def decoding_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let libvips look at pixels in this process: to start one takes longer than the look."""

    def run(task: object, *_: object) -> bytes:
        vips_worker._decode_apart.cache_clear()  # it goes by the descriptor, of one process
        answer = io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(task)))
        try:
            with redirect_stdout(answer):
                vips_worker.main()
        except pyvips.Error as error:
            raise PixelsUnreadable(str(error)) from error
        return answer.getvalue().encode()

    monkeypatch.setattr(vips, "_run", run)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
