"""What people start: explain, samples, sweeps, reports, widgets, the command."""
import lazy_loader

ROOMS = [
    "explanation", "samples", "sweeps", "serving", "widgets", "cli", "pages", "sums", "report",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
