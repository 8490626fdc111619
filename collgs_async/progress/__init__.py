"""Tell someone what a run does: bars on a terminal or in a notebook, plain lines elsewhere, or nothing."""

from collgs_async.progress.bars import TqdmProgress
from collgs_async.progress.choice import choose_progress
from collgs_async.progress.names import short_name
from collgs_async.progress.plain import PlainProgress
from collgs_async.progress.protocol import Progress, SilentProgress

__all__ = ["PlainProgress", "Progress", "SilentProgress", "TqdmProgress", "choose_progress", "short_name"]
