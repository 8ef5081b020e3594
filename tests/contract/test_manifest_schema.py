"""Manifests keep the JSON Schema in the repository."""

import json
from pathlib import Path

import jsonschema

from tests.fakes import png
from tests.world import World

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


def test_manifests_of_every_kind_keep_the_schema() -> None:
    world = World()
    world.drop("delivered.png", png(shade=1))
    world.finish_all()
    world.drop("rejected.png", b"")
    world.drop("submitted.png", png(shade=2))
    world.put("urls.png.yaml", "download_outputs: false\nrevision: 7")
    world.drop("urls.png", png(shade=3))
    world.finish_all()
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))

    for key in ("delivered.png", "rejected.png", "submitted.png", "urls.png"):
        validator.validate(world.manifest(key))
