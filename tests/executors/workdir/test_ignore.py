"""Ignore rules: git's own for ``.gitignore``, and ``.leptonignore`` above them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_sdk._executors.workdir.copy import copy_workdir


def copied(project: Path) -> set[str]:
    with tempfile.TemporaryDirectory() as place:
        work = Path(place, "work")
        copy_workdir(project, work)
        return {str(p.relative_to(work)) for p in work.rglob("*") if p.is_symlink() or not p.is_dir()}


def make(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)


def test_nested_rules_negation_and_anchors(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            ".gitignore": "*.log\r\n/build/\n__pycache__/\n!keep.log\n# comment\n\\#odd\n",
            "a.log": "",
            "keep.log": "",
            "#odd": "",
            "build/x": "",
            "src/build/y": "",
            "src/__pycache__/z.pyc": "",
            "src/.gitignore": "keep.log\n!b.log\n",
            "src/keep.log": "",
            "src/b.log": "",
        },
    )
    assert copied(tmp_path) == {".gitignore", "keep.log", "src/build/y", "src/.gitignore", "src/b.log"}


def test_leptonignore_wins_over_gitignore_at_any_depth(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            ".gitignore": "weights/\n",
            ".leptonignore": "!weights/\n*.mp4\n",
            "weights/model.bin": "",
            "sub/.gitignore": "!film.mp4\nweights/\n",
            "sub/film.mp4": "",
            "sub/weights/w": "",
            "code.py": "",
        },
    )
    found = copied(tmp_path) - {".gitignore", ".leptonignore", "sub/.gitignore"}
    assert found == {"weights/model.bin", "sub/weights/w", "code.py"}


def test_rules_of_the_repository_above_hold_but_not_on_the_workdir_itself(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "repo/.gitignore": "*.pyc\n/jobs/one/big\njobs/\n",
            "repo/.git/HEAD": "",
            "repo/jobs/one/a.py": "",
            "repo/jobs/one/a.pyc": "",
            "repo/jobs/one/big": "",
            ".gitignore": "*.py\n",
        },
    )
    assert copied(tmp_path / "repo/jobs/one") == {"a.py"}


def test_rules_above_play_no_part_without_a_repository(tmp_path: Path) -> None:
    make(tmp_path, {".gitignore": "*\n", "project/a.py": ""})
    assert copied(tmp_path / "project") == {"a.py"}


def test_rule_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, {"rules": "a\n", "a": ""})
    (tmp_path / ".gitignore").symlink_to("rules")
    assert copied(tmp_path) == {".gitignore", "rules", "a"}


def test_no_rules_no_import(tmp_path: Path) -> None:
    make(tmp_path, {"project/a": ""})
    code = (
        "import sys; from pathlib import Path; from lepton_sdk._executors.workdir.copy import copy_workdir\n"
        "copy_workdir(sys.argv[1], Path(sys.argv[2])); print('pathspec' in sys.modules)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "project"), str(tmp_path / "work")]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "False\n"


names = st.sampled_from(["a", "b", "ab", "a.o", "b.o", ".h", "x y"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
globs = st.sampled_from(["a", "b", "ab", "*", "*.o", "a*", "?", "[ab]", "[!a]*", "**", ".h", "x y", "\\a", "a?b"])
lines = st.builds(
    lambda no, lead, parts, tail: no + lead + "/".join(parts) + tail,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/", "**/"]),
    st.lists(globs, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "/**", " "]),
)
rules = st.lists(lines | st.sampled_from(["", "#a", "/", "!", "a/*/", "***"]), max_size=6).map("\n".join)
folders = st.lists(names, max_size=2).map("/".join)


@pytest.fixture(scope="module")
def git_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository, of which every generated folder is the work tree in turn."""
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", "--bare", "--template=", str(folder)], check=True)
    return folder


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sets(paths, min_size=1, max_size=12), st.dictionaries(folders, rules, max_size=3))
def test_what_is_copied_is_what_git_lists(git_dir: Path, files: set[str], ignores: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        project = Path(place)
        for name in sorted(files | {f"{folder}/.gitignore".lstrip("/") for folder in ignores}):
            path = project / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    path.write_text(ignores.get(name.rpartition("/")[0], "") if name.endswith(".gitignore") else "")
            except (FileExistsError, NotADirectoryError):
                # One generated name asks for a file where another asks for a folder.
                continue
        git = ["git", f"--git-dir={git_dir}", f"--work-tree={place}", "-c", "core.bare=false"]
        listed = subprocess.run(
            [*git, "-c", "core.excludesFile=/dev/null", "ls-files", "-z", "--others", "--cached", "--exclude-standard"],
            check=True,
            capture_output=True,
            cwd=place,
        ).stdout
        assert copied(project) == {name.decode() for name in listed.split(b"\0") if name}
