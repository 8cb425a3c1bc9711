"""Changes to gradio's own behaviour."""

from __future__ import annotations

import secrets
from typing import Any

import gradio.route_utils


class SaltedUploadFile(gradio.route_utils.GradioUploadFile):
    """An upload whose folder cannot be found by who knows the file.

    gradio names the folder by a digest of the content and the same seed for everybody. Whoever sent a file would
    know by its folder whether another visitor had sent the same.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sha.update(secrets.token_bytes(32))


def hide_uploads() -> None:
    """From now on give each upload a folder of its own, whatever its content."""
    gradio.route_utils.GradioUploadFile = SaltedUploadFile  # type: ignore[misc]
