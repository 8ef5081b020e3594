"""The process that decodes HEIC: standard input is such a file, standard output becomes a PNG file.

`dropscale_embedded.heic` starts it as a script, so that it imports nothing but the decoder.
"""

import sys

import pi_heif

TOO_LARGE = 3
"""The exit code for an image that has a side of more pixels than the first argument says."""


def main() -> int:
    """Decode one file; what goes wrong ends the process."""
    opened = pi_heif.open_heif(sys.stdin.buffer.read())
    if max(opened.size) > int(sys.argv[1]):
        sys.stderr.write(f"{opened.size[0]} x {opened.size[1]}")
        return TOO_LARGE
    image = opened.to_pillow()
    profile = opened.info.get("icc_profile")
    image.save(sys.stdout.buffer, "PNG", compress_level=0, icc_profile=profile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
