"""Files that the server stores for visitors."""

from __future__ import annotations

import os
from pathlib import Path

from gradio.utils import get_upload_folder


def stored_files() -> set[Path]:
    """List all files and folders in the upload folder; files that disappear meanwhile do no harm, unlike with rglob."""
    return {Path(root, name) for root, folders, names in os.walk(get_upload_folder()) for name in (*folders, *names)}
