"""What people start: explain, samples, sweeps, reports, widgets, the command."""
import lazy_loader

ROOMS = [
    "explanation", "samples", "requests", "folders", "store", "engines", "results", "sweeps", "pages", "sums",
    "report", "messages", "prompts", "photographs", "terminal", "arguments", "comparison", "widget_html", "widget_kit", "widget_work",
    "result_widgets", "pair_widgets", "questions", "explorer", "serving", "cli",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
