"""Install brainclust; everything it needs to know stands in settings.ini."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    license="Apache-2.0",
    url=settings["git_url"],
    python_requires=f">={settings['min_python']}",
    # The notebooks travel with the package, so that `brainclust-report` finds them after any kind of install.
    packages=["brainclust", "brainclust.notebooks"],
    package_dir={"brainclust": "brainclust", "brainclust.notebooks": "nbs"},
    package_data={"brainclust": ["*.py", "weights/*.safetensors"], "brainclust.notebooks": ["*.ipynb", "results/*.csv"]},
    install_requires=settings["requirements"].split(),
    extras_require={name.removesuffix("_requirements"): settings[name].split() for name in settings if name.endswith("_requirements")},
    entry_points={
        "console_scripts": settings["console_scripts"].split(),
        "nbdev": ["brainclust=brainclust._modidx:d"],
    },
)
