"""What all tests share: a small real dataset, and a Ray that is quiet and authenticated."""

from __future__ import annotations

from pathlib import Path

import browser
import hypothesis
import pytest

from orchestrator.ray_backend.environment import prepare_ray_environment

# before any test imports ray: it reads its settings once
prepare_ray_environment(is_embedded=True)

# how long an example takes says nothing of the code, on a machine that does other things as well
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the dataset `tiny`: some of the standard library's sources, vocabulary 512."""
    import email
    import json

    from trainer.corpus.prepare import prepare
    from trainer.corpus.prepare_request import PrepareRequest

    root = tmp_path_factory.mktemp("data")
    text = tuple(Path(package.__file__).parent for package in (json, email))
    val = (Path(email.__file__).parent / "utils.py",)
    prepare(PrepareRequest(name="tiny", text=text, vocab_size=512, val_files=val), root, num_workers=1)
    return root


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tests of pages that did not run for want of a browser are said aloud: they look like passed ones otherwise."""
    why = browser.missing()
    skipped = terminalreporter.stats.get("skipped", [])
    number = sum(why is not None and why in str(report.longrepr) for report in skipped)
    if number:
        tests = "1 test" if number == 1 else f"{number} tests"
        terminalreporter.write_line(f"{tests} of the page did NOT run: {why}", red=True, bold=True)
