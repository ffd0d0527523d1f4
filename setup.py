"""Everything is in pyproject.toml, except that a build from a git checkout keeps the commit in the package."""

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCommit(build_py):
    """Copies the packages, and adds the file that `ser_model.version` reads."""

    def run(self) -> None:
        """Build."""
        super().run()
        version = runpy.run_path("model/ser_model/version.py")
        commit = version["commit"]()
        # An editable installation finds the checkout itself.
        if commit is not None and not self.editable_mode:
            (Path(self.build_lib) / "ser_model" / version["COMMIT_FILE"]).write_text(f"{commit}\n")


setup(cmdclass={"build_py": BuildWithCommit})
