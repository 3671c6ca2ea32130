"interlib's metadata live in settings.ini, which nbdev reads too."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
dev = cfg["dev_requirements"].split()

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author=cfg["author"],
    url=cfg["git_url"],
    keywords=cfg["keywords"],
    packages=find_packages(include=["interlib", "interlib.*"]),
    package_data={"": ["*.pyi", "py.typed", "*.html", "*.css", "*.js", "*.json", "*.npz"]},
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require={"dev": dev, "app": cfg["app_requirements"].split(), "ray": cfg["ray_requirements"].split(), "icu": cfg["icu_requirements"].split(), "all": [*cfg["all_requirements"].split(), *dev]},
    entry_points={"console_scripts": cfg["console_scripts"].split()},
    zip_safe=False,
)
