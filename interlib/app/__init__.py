"""What people start: explain, samples, sweeps, reports, widgets, the command."""
import lazy_loader

ROOMS = [
    "explanation", "samples", "requests", "folders", "store", "engines", "results", "sweeps", "serving", "pages",
    "sums", "report", "prompts", "printing", "arguments", "comparison", "widgets", "cli",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
