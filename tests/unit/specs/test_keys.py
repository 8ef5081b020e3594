import pytest

from dropscale.specs.keys import KeyKind, image_key_of, kind_of, sidecar_keys_of


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("cat.jpg", KeyKind.IMAGE),
        ("a b/CAT.JPEG", KeyKind.IMAGE),
        ("cat.jfif", KeyKind.IMAGE),
        (".png", KeyKind.OTHER),
        ("cat.jpg.yaml", KeyKind.SIDECAR),
        ("cat.jpg.yml", KeyKind.SIDECAR),
        ("cat.JPG.json", KeyKind.SIDECAR),
        ("dropscale.yaml", KeyKind.FOLDER_SPEC),
        ("a/dropscale.yaml", KeyKind.FOLDER_SPEC),
        ("cat.yaml", KeyKind.STAND_ALONE),
        ("package.json", KeyKind.STAND_ALONE),
        ("cat.jpg.dropscale.json", KeyKind.OTHER),
        ("cat.jpg.txt", KeyKind.OTHER),
        ("cat.gif", KeyKind.UNSUPPORTED),
        ("a/IMG_1.NEF", KeyKind.UNSUPPORTED),
        ("cat.pdf", KeyKind.OTHER),
        ("jpg", KeyKind.OTHER),
        ("a.jpg/", KeyKind.OTHER),
        ("", KeyKind.OTHER),
    ],
)
def test_a_key_says_what_its_object_is(key: str, kind: KeyKind) -> None:
    assert kind_of(key) is kind


def test_suffixes_narrow_what_is_a_sidecar() -> None:
    assert kind_of("cat.jpg.json", [".yaml"]) is KeyKind.OTHER
    assert sidecar_keys_of("cat.jpg", [".yaml"]) == ["cat.jpg.yaml"]


def test_a_sidecar_belongs_to_the_image_whose_full_name_it_bears() -> None:
    assert image_key_of("a/cat.jpg.yaml") == "a/cat.jpg"
    assert image_key_of("cat.yaml") is None
