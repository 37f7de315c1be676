"""Whether a site accepts what a key signs, where the export knows the site's root."""

from collections.abc import Mapping, Sequence

from airgap.errors import ConfigurationError
from airgap.format import layout
from airgap.format import root as roots
from airgap.format.root import Root
from airgap.signing.signer import Signer

__all__ = ["refuse_unaccepted", "require_builders"]


def require_builders(signers: Sequence[Signer], files: Mapping[str, bytes]) -> None:
    """Refuse keys that are no builders of the roots that travel; see ``refuse_unaccepted``.

    ``files`` are roots and their envelopes by depot name (format §8).

    Raises:
        ConfigurationError: no root that travels has this key as a builder.
    """
    versions: dict[int, bytes] = {}
    for name, raw in files.items():
        parsed = layout.parse_root_file(name.removeprefix(f"{layout.ROOTS}/"))
        if parsed and parsed[1]:
            versions[parsed[0]] = raw
    travelling = [roots.decode(versions[number]) for number in sorted(versions)]
    refuse_unaccepted([signer.key.id for signer in signers], travelling)


def refuse_unaccepted(key_ids: Sequence[str], travelling: Sequence[Root]) -> None:
    """Refuse a key that is a builder of none of these roots, in the order of their versions.

    One of the roots is enough: a site may be at an earlier version, or update to a later one with
    the bundle. Other builders may sign later, so a threshold above one does not count here.

    Raises:
        ConfigurationError: a key is a builder of none.
    """
    if not travelling:
        return
    builders = {key_id for root in travelling for key_id in root.signers("builder")}
    strange = next((key_id for key_id in key_ids if key_id not in builders), None)
    if strange is None:
        return
    newest = travelling[-1]
    own = " or ".join(sorted(newest.signers("builder")))
    raise ConfigurationError(
        f"The key {strange} is not a builder of site {newest.site} (root {newest.version}), so no"
        " site would accept this bundle.",
        f"Sign with the private key of builder {own}: --key FILE.key. Or add this key to the root"
        " as a builder: `airgap root add-key`.",
    )
