"""Install brainclust; everything it needs to know stands in settings.ini."""
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]
repository = settings["git_url"]


def with_addresses(text: str) -> str:
    """Point a document's relative links to the repository, for readers elsewhere."""
    text = re.sub(r"(!\[[^\]]*\]\()(?!\w+:)", rf"\1{repository}/raw/main/", text)
    return re.sub(r"(\]\()(?!\w+:|#)", rf"\1{repository}/blob/main/", text)


setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=with_addresses((here / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    keywords=settings["keywords"].split(),
    classifiers=settings["classifiers"].strip().splitlines(),
    author=settings["author"],
    license_expression=settings["license"],
    license_files=["LICENSE"],
    url=settings["doc_url"],
    project_urls={
        "Documentation": settings["doc_url"],
        "Source": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    },
    python_requires=f">={settings['min_python']}",
    # The notebooks travel as one more package, so that `brainclust run` finds them after any
    # kind of install. Patterns hold in every package; in a folder of notebooks too.
    packages=[*find_packages(include=["brainclust", "brainclust.*"]), "brainclust.notebooks"],
    package_dir={"brainclust.notebooks": "nbs"},
    package_data={
        "": ["py.typed", "static/*", "templates/*", "weights/*.safetensors"],
        "brainclust.notebooks": ["**/*.ipynb", "**/results/*.csv"],
    },
    # Runs that were started here, and what nbdev and JupyterLab pass over. A * stands for any
    # number of folders; the room `nbs/runs` has notebooks, and a run has a folder in it.
    exclude_package_data={
        "brainclust.notebooks": ["runs/*/*", "*/runs/*", "_*/*", "*/_*/*", ".*", "*/.*"],
    },
    install_requires=settings["requirements"].split(),
    extras_require={
        name.removesuffix("_requirements"): settings[name].split()
        for name in settings if name.endswith("_requirements")
    },
    entry_points={
        "console_scripts": settings["console_scripts"].split(),
        "nbdev": ["brainclust=brainclust._modidx:d"],
    },
)
