"""Limits on the data that visitors send and receive. Limits that only one module uses are in that module."""

from __future__ import annotations

MAX_UPLOAD_BYTES = 20_000_000
"""Largest size of an uploaded file, in bytes."""

MAX_PIXELS = 4_000_000
"""Largest width times height of a photograph to compare."""

MAX_CROP_PIXELS = 1280 * 960
"""Largest width times height of the part of a larger photograph that the browser cuts out. With 3 bytes for each pixel,
its lossless PNG takes less than 4 MB."""

MIN_SIDE = 16
"""Shortest side of a photograph to compare, in pixels."""

MAX_OUTPUT_PIXELS = 16_000_000
"""Largest width times height of an upscaled image."""

MAX_COORDINATE = 1_000_000
"""Largest coordinate or side of a region, in HR pixels."""

MAX_ZOOM = 16
"""Largest zoom in a shared link, in CSS pixels for one HR pixel."""

MAX_KEY, MAX_SHOWN = 32, 16
"""Largest number of characters of an image key in a shared link, and largest number of keys."""

MAX_OWN, MAX_OWN_NAME = 4, 32
"""Most results that a visitor may add to a comparison, and most characters in the name of a result."""

MAX_WAITING = 32
"""Largest number of requests in the queue; further requests are refused with a message."""
