"""Which evidence serves which control of which standard (format §38.3).

It is a map for auditors who look for the evidence of a control. Whether a control is met is theirs
to say.
"""

from typing import Final, NamedTuple

__all__ = ["CONTROLS", "Control"]


class Control(NamedTuple):
    """A control, what it asks for in a few words, and the sections of the report that serve it."""

    standard: str
    id: str
    subject: str
    sections: tuple[str, ...]


_NIST: Final = "NIST SP 800-53 r5"
_IEC: Final = "IEC 62443-3-3"
_NIS2: Final = "NIS2"
_AI: Final = "AI Act (EU) 2024/1689"
_CRA: Final = "CRA (EU) 2024/2847"

CONTROLS: Final[tuple[Control, ...]] = (
    Control(_NIST, "MP-2, MP-7", "access to media, use of media", ("media", "moved")),
    Control(_NIST, "MP-4, MP-5", "storage and transport of media", ("media", "times")),
    Control(_NIST, "SI-3", "protection against malicious code", ("people", "rules")),
    Control(_NIST, "SI-7 (1)(6)(15)", "integrity of software, code authentication", ("rules",)),
    Control(
        _NIST, "SR-4 (3)", "provenance: validate as genuine and not altered", ("rules", "roots")
    ),
    Control(_NIST, "SR-11", "component authenticity", ("rules", "moved")),
    Control(_NIST, "CM-14", "signed components", ("rules", "roots")),
    Control(_NIST, "AU-3, AU-12", "content and generation of audit records", ("ledgers",)),
    Control(_NIST, "AU-8", "time stamps", ("times",)),
    Control(_NIST, "AU-9 (3)", "cryptographic protection of audit records", ("ledgers",)),
    Control(_NIST, "AU-10 (1)-(3)", "non-repudiation, chain of custody", ("people", "moved")),
    Control(_NIST, "AU-11", "retention of audit records", ("ledgers",)),
    Control(
        _NIST, "AC-3 (2), AC-5", "dual authorization, separation of duties", ("people", "roots")
    ),
    Control(_NIST, "SC-12", "establishment and management of keys", ("roots", "people")),
    Control(_NIST, "SC-28", "protection of information at rest", ("media",)),
    Control(_IEC, "SR 1.1, SR 2.12", "identification of users, non-repudiation", ("people",)),
    Control(_IEC, "SR 2.3", "use of portable and mobile devices", ("media",)),
    Control(_IEC, "SR 2.8, SR 2.9", "auditable events, storage of them", ("ledgers",)),
    Control(_IEC, "SR 2.11", "time stamps", ("times",)),
    Control(_IEC, "SR 3.2", "protection against malicious code", ("people", "rules")),
    Control(_IEC, "SR 3.4", "integrity of software and information", ("rules",)),
    Control(_IEC, "SR 4.1", "confidentiality of information", ("media",)),
    Control(_NIS2, "Art. 21 (2)(d)", "security of the supply chain", ("moved", "people")),
    Control(_NIS2, "2024/2690, annex 3.2", "monitoring and logging", ("ledgers",)),
    Control(
        _NIS2, "2024/2690, annex 6", "acquisition and maintenance of systems", ("rules", "roots")
    ),
    Control(_NIS2, "2024/2690, annex 12.3", "removable media", ("media",)),
    Control(
        _AI, "Art. 11, Annex IV", "technical documentation: what the system is made of", ("moved",)
    ),
    Control(_AI, "Art. 12", "record-keeping", ("ledgers", "times")),
    Control(_AI, "Art. 18", "keeping of documentation", ("evidence",)),
    Control(_CRA, "Annex I, part II (1)", "components and their bill of materials", ("moved",)),
    Control(_CRA, "Annex VII", "technical documentation", ("evidence", "moved")),
)
