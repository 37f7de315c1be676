"""What the name of a file says: nothing in a text says that a program imports or runs it."""

from pathlib import PurePosixPath
from typing import Final

__all__ = ["is_media_name", "is_plain_name", "is_template_name", "name_program"]

_PROGRAMS: Final = {
    **dict.fromkeys((".py", ".pyw", ".pyx", ".pxd", ".pxi", ".pyi", ".ipynb", ".pth"), "Python"),
    **dict.fromkeys((".pyc", ".pyo", ".pyd"), "compiled Python"),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".fish", ".bat", ".cmd", ".ps1"), "a shell script"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".ts", ".html", ".htm", ".svg", ".xhtml"), "a script"),
    **dict.fromkeys((".pl", ".rb", ".lua", ".r", ".jl", ".php", ".tcl", ".awk"), "a script"),
    **dict.fromkeys((".c", ".cc", ".cpp", ".cxx", ".cu", ".h", ".hpp", ".rs", ".go"), "source"),
    **dict.fromkeys((".java", ".cs", ".swift", ".m", ".mk", ".cmake"), "source"),
    **dict.fromkeys((".so", ".dll", ".dylib", ".exe", ".a", ".o", ".wasm", ".bc"), "native code"),
    **dict.fromkeys((".jar", ".class", ".deb", ".rpm", ".msi", ".apk"), "a program"),
    **dict.fromkeys((".whl", ".egg"), "a Python package"),
}
_PROGRAM_NAMES: Final = frozenset(
    {
        *("dockerfile", "makefile", "entrypoint", "setup.cfg", "tox.ini", "pyproject.toml"),
        *(".envrc", "entry_points.txt", "cmakelists.txt", "bentofile.yaml", "bentofile.yml"),
        *("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"),
        *(".gitlab-ci.yml", ".pre-commit-config.yaml", "meson.build"),
    }
)
_PLAIN: Final = frozenset(
    {
        ".txt",
        ".md",
        ".rst",
        ".json",
        ".jsonl",
        ".yaml",
        ".yml",
        ".toml",
        ".csv",
        ".tsv",
        ".lock",
        ".vocab",
        ".merges",
        ".labels",
        ".names",
        ".license",
        ".cff",
        ".bib",
        ".log",
        ".python-version",
        ".gitattributes",
        ".gitignore",
        ".dockerignore",
    }
)
_PLAIN_NAMES: Final = frozenset(
    {
        "license",
        "licence",
        "notice",
        "readme",
        "copying",
        "authors",
        "changelog",
        "contributors",
        "metadata",
        "record",
        "wheel",
        ".gitattributes",
        ".gitignore",
        ".dockerignore",
        ".python-version",
        "py.typed",
        "cacert.pem",
    }
)
_TEMPLATES: Final = frozenset({".jinja", ".jinja2", ".j2"})
_MEDIA: Final = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".webp",
        ".bmp",
        ".ico",
        ".wav",
        ".ogg",
        ".flac",
        ".mp3",
        ".ttf",
        ".otf",
    }
)


def _find_suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def name_program(name: str) -> str:
    """Return what kind of program a file is by its name; empty: it is not one."""
    last = PurePosixPath(name).name.lower()
    if last in _PROGRAM_NAMES or last.startswith("dockerfile.") or ".so." in last:
        return "a program"
    return _PROGRAMS.get(_find_suffix(name), "")


def is_plain_name(name: str) -> bool:
    """Tell whether a text of this name is read as data or by people."""
    last = PurePosixPath(name).name.lower()
    return last in _PLAIN_NAMES or _find_suffix(name) in _PLAIN


def is_template_name(name: str) -> bool:
    """Tell whether a text of this name is a template."""
    return _find_suffix(name) in _TEMPLATES


def is_media_name(name: str) -> bool:
    """Tell whether a file of this name is an image or a sound."""
    return _find_suffix(name) in _MEDIA
