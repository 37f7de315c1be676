"""Which bundle brought an item, and which folders of files came with a Bento."""

from collections.abc import Mapping, Sequence

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import ConflictError, CorruptError
from airgap.format import files, limits
from airgap.format.kinds import BENTO, FILES, WHEELHOUSE
from airgap.format.names import parse_tag
from airgap.state import installed_manifests
from airgap.store.kinds import find_kind

__all__ = ["find_bundle", "list_files", "list_remembered_files", "read_variables"]


def find_bundle(tag: str) -> str:
    """Return the id of the newest imported bundle that has a wheelhouse; empty if unknown here."""
    name, version = parse_tag(tag)
    for bundle, manifest in installed_manifests.find(name, version):
        if any(
            (item.kind, item.name, item.version) == (WHEELHOUSE.name, name, version)
            for item in manifest.items
        ):
            return bundle
    return ""


def list_remembered_files(name: str, version: str) -> list[str]:
    """Return the tags of the files that came in the bundles of a Bento, as far as remembered here.

    Of a name that several bundles have, the newest bundle's counts. What is not installed (any
    more) is left out.
    """
    tags: dict[str, str] = {}
    installed = set(find_kind(FILES.name).list_tags())
    for _, manifest in installed_manifests.find(name, version):
        if any(
            (item.kind, item.tag) == (BENTO.name, f"{name}:{version}") for item in manifest.items
        ):
            for item in manifest.items:
                if item.kind == FILES.name and (item.name, item.version) in installed:
                    tags.setdefault(item.name, item.tag)
    return sorted(tags.values())


def list_files(name: str, version: str, named: Sequence[str]) -> list[str]:
    """Return the tags of a Bento's files: those that a person names, and those remembered here.

    Raises:
        UsageError, MissingError: a named one is not a tag, or not installed.
        ConflictError: two of them set the same variable.
        CorruptError: one is not what its tag says.
    """
    kind = find_kind(FILES.name)
    tags = {tag.partition(":")[0]: tag for tag in list_remembered_files(name, version)}
    for text in named:
        found, number = kind.find(text)
        tags[found] = f"{found}:{number}"
    read_variables(sorted(tags.values()))
    return sorted(tags.values())


def read_variables(tags: Sequence[str]) -> Mapping[str, str]:
    """Return the variables that installed files set, with their folders (format §25).

    Raises:
        MissingError: one is not installed.
        ConflictError: two set the same variable.
        CorruptError: a ``files.json`` is not what its tag says.
    """
    variables: dict[str, str] = {}
    for variable, folder in map(_read_variable, tags):
        if variable in variables:
            raise ConflictError(
                f"Two folders are for the variable {variable}: {variables[variable]} and {folder}.",
                "Import one of them only, or export them with different variables.",
            )
        if variable:
            variables[variable] = folder
    return variables


def _read_variable(tag: str) -> tuple[str, str]:
    kind = find_kind(FILES.name)
    name, version = kind.find(tag)
    folder = kind.install_path(name, version).final
    with translate_errors(folder):
        raw = read_if_exists(folder / files.DESCRIPTION, limits.FILES_DESCRIPTION_BYTES) or b""
    if files.version_of(raw) != version:
        raise CorruptError(
            f"{folder / files.DESCRIPTION} is damaged (SHA-256 begins with"
            f" {files.version_of(raw)}, expected {version}).",
            "Import the bundle that brought it again, with --replace.",
        )
    return files.decode(raw).variable, str(folder / files.CONTENT.rstrip("/"))
