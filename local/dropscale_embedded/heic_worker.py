"""The process that decodes HEIC: a HEIC file on standard input, a PNG file on standard output.

`dropscale_embedded.heic` starts it as a script, so that it imports only the decoder.
"""

import sys

import pi_heif

TOO_LARGE = 3
"""The exit code for an image with a side longer than the first argument, in pixels."""


def main() -> int:
    """Decode one file; any error ends the process."""
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
