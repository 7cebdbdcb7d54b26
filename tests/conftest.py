"""Golden files: ``pytest --update-golden`` rewrites them; a review of the diff is the test then."""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture
def golden(request):
    """Compare a text with the file of that name, byte by byte."""

    def compare(name, text):
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_bytes(text.encode())
        assert path.is_file(), f"no golden file {name}; write it with --update-golden"
        assert text == path.read_bytes().decode()

    return compare
