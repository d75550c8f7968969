"""Where the copies of pages may be written: folders below STATUS_EXPORT_ROOT, and nowhere else."""

from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError


def below_root(text):
    """The whole path of a page's folder. Raises ValidationError when it is not below STATUS_EXPORT_ROOT."""
    if not settings.STATUS_EXPORT_ROOT:
        raise ValidationError(
            "Copies are not written here, because STATUS_EXPORT_ROOT is not set. Ask whoever runs the server to set "
            "it, or leave the folder empty."
        )
    root = Path(settings.STATUS_EXPORT_ROOT).resolve()
    try:
        folder = (root / text).resolve()  # an absolute one stays as it is
    except (OSError, ValueError, RuntimeError):
        folder = root
    if folder == root or not folder.is_relative_to(root):
        raise ValidationError(f"The folder must be below {root}: write a name such as shop.")
    return folder
