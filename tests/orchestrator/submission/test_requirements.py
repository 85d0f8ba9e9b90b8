from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from orchestrator.submission.requirements import requirements


def test_imports_of_every_form_are_pinned(tmp_path: Path) -> None:
    """At the top, in functions, of parts of packages, and under another name than the package's; nothing else."""
    (tmp_path / "a.py").write_text(
        "import json, os.path\nimport numpy as np\nfrom mine.part import x\nfrom . import y\n\n"
        "def f():\n    import torch.nn.functional as F\n    from yaml import safe_load\n"
    )
    (tmp_path / "b.py").write_text("from numpy.typing import NDArray\n# import pandas\n")
    found = requirements(tmp_path.glob("*.py"), frozenset({"mine"}))
    torch = version("torch").partition("+")[0]  # a local build is no public version
    assert found == [f"numpy=={version('numpy')}", f"PyYAML=={version('PyYAML')}", f"torch=={torch}"]
