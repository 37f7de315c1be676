"""The examples in the help of each command. A test parses every line."""

import shlex
import textwrap
from dataclasses import dataclass
from typing import Final

__all__ = ["EXAMPLES", "Example", "break_line", "find_examples"]

_SHOWN: Final = 2


@dataclass(frozen=True, slots=True)
class Example:
    """A command line, and what it does."""

    text: str
    line: str
    """May go on in further lines, as a shell reads it."""


def find_examples(path: str, *, is_group: bool = False) -> list[Example]:
    """Return two examples of a command, such as ``airgap root sign``; of a group, of two of its."""
    found = [example for example in EXAMPLES if f"{example.line} ".startswith(f"{path} ")]
    if is_group:
        position = len(path.split())
        first = {example.line.split()[position]: example for example in reversed(found)}
        if len(first) > 1:
            found = [example for example in found if example in first.values()]
    return found[:_SHOWN]


def break_line(line: str, columns: int) -> list[str]:
    """Return the rows of a command line; one that is too long is broken as a shell allows it."""
    rows = line.split("\n")
    if max(map(len, rows)) <= columns:
        return rows
    rows = [""]
    for word in shlex.split(line.replace("\\\n", " "), posix=False):
        if rows[-1].strip() and len(rows[-1]) + len(word) + 3 > columns:
            rows[-1] += " \\"
            rows.append("   ")
        rows[-1] += f" {word}" if rows[-1] else word
    return rows


def _read_examples(text: str) -> tuple[Example, ...]:
    """Read pairs of a text and a command line; the text begins with ``#``."""
    pairs = (part.partition("\n") for part in textwrap.dedent(text).strip().split("# ")[1:])
    return tuple(Example(title, line.strip()) for title, _, line in pairs)


EXAMPLES: Final = _read_examples(r"""
# Set up this machine to export to a site
airgap init hospital-north
# Use keys that a FIPS machine reads, and another channel
airgap init hospital-north --channel staging \
    --algorithm ecdsa-p384-sha384
# Pack a Bento and its models into a depot on a stick
airgap export summarizer:v2 -o /media/usb/depot
# Pack only what the other side does not have, with the Python packages
airgap export summarizer:v3 --base /backup/depot --with-env \
    -o /media/usb/depot
# Import the newest bundle of a depot
airgap import /media/usb/depot
# See what an import would do and what space it needs, without doing it
airgap import /media/usb/depot --dry-run
# Check every byte of a bundle before it is carried further
airgap verify /media/usb/depot
# Check one disc of several
airgap verify /media/cdrom --partial
# See what a bundle claims to hold
airgap inspect /media/usb/depot
# List every file with its SHA-256
airgap inspect summarizer.airgap --files
# See what a new bundle would ship to a site that has the old one
airgap diff /backup/depot /media/usb/depot
# Compare two bundles of one depot
airgap diff /backup/depot#1ebb34ac /backup/depot#90eed045
# Split a bundle for DVDs, of which any one may be lost
airgap split summarizer.airgap -o /tmp/discs --volume-size DVD --parity 25%
# Write it on three mounted sticks, and read them back
airgap split /backup/depot --volumes /media/a /media/b /media/c \
    --verify-after-write
# Combine volumes that are mounted together
airgap join /media/a /media/b /media/c -o /srv/depot
# Combine discs one after the other: run it again with each
airgap join /media/cdrom -o /srv/depot
# Restore damaged packs of a depot from its parity
airgap repair /media/usb/depot
# Restore from read-only discs into a new depot
airgap repair /media/a /media/b -o /srv/depot
# Push a Bento with its models to a depot on a server
airgap push summarizer:v2 sftp://carrier@gateway/srv/depot
# Push a model alone to a named remote
airgap push ranker:v1 @gateway --model
# Install a Bento and its models from a depot
airgap pull summarizer:v2 /srv/depot
# Install the newest version from a named remote
airgap pull summarizer @gateway
# Encrypt a bundle for the courier, to the recipients of the site
airgap seal summarizer.airgap /media/usb/depot --key builder.key
# Seal to somebody whom no root names, for a test
airgap seal /backup/depot /tmp/sealed --seal-to ward.recipient \
    --insecure-recipients --key builder.key
# Open a sealed bundle at the inspection station
airgap unseal /media/usb/depot -o /srv/inspect --identity gate.identity
# Take the identity from a program that keeps it
airgap unseal /media/usb/depot -o /srv/inspect --identity fd:3
# List what is on this machine
airgap list
# List the bundles of a depot, and whether they would be imported here
airgap list /media/usb/depot
# Show the newest version of a Bento on this machine
airgap get summarizer
# Show which bundle of a depot has it
airgap get summarizer:v2 /srv/depot
# Delete the bundles with one version of a Bento
airgap delete summarizer:v1 /srv/depot
# Delete one bundle, without being asked
airgap delete /srv/depot#1ebb34ac --yes
# See what would be removed from a depot
airgap gc /srv/depot --dry-run
# Remove what an earlier run marked a week ago
airgap gc /srv/depot --older-than 7d
# Copy all bundles of a depot to a stick
airgap copy @gateway /media/usb/depot
# Copy one bundle into a file, and read it back
airgap copy /srv/depot#1ebb34ac summarizer.airgap --verify-after-write
# Let @gateway stand for a server
airgap remote add gateway sftp://gateway/srv/depot --user carrier
# Name a server that is recognized by the CA of the house
airgap remote add vendor ftps://ftp.example/depot --option ca=/etc/ca.pem
# List the named remotes
airgap remote list
# The same for a program
airgap remote list --json
# Show the URL and the settings of a remote
airgap remote show gateway
# The same for a program
airgap remote show gateway --json
# Remove a name
airgap remote remove gateway
# The same in a script, without output
airgap remote remove gateway --quiet
# Check the config file of the drop box
airgap serve dropbox --config /etc/airgap/dropbox.toml --check
# Serve it, and send its events to the syslog of this machine
airgap serve dropbox --config /etc/airgap/dropbox.toml \
    --syslog unix:///dev/log
# Hash a password that you type
airgap serve hash-password
# Hash the password in a file
airgap serve hash-password < password.txt
# Serve a depot to the programs of this machine
airgap serve mirror /srv/depot
# Serve it to other machines
airgap serve mirror /srv/depot --listen 0.0.0.0:8640 --tokens tokens.toml \
    --certificate server.pem --private-key server.key
# Make a token for a machine, which counts for a year
airgap serve make-token node7 --expires 1y
# Make one with which a pipeline pushes to the inbox
airgap serve make-token ci --scope push --expires 1y
# Check that no line of the log of requests was changed
airgap serve check-log requests.jsonl
# Check all files of it, and put its end into the ledger
airgap serve check-log requests.1 requests.jsonl --record
# List what was pushed and waits for a signature
airgap inbox list /srv/inbox
# Sign a Bento that was pushed, into a depot
airgap inbox sign /srv/inbox summarizer:v1 /srv/depot --key anna.key
# List also what is signed, for a program
airgap inbox list /srv/inbox --all --json
# Compare a Bento that was pushed with the one of this machine
airgap inbox show /srv/inbox summarizer:v1
# Compare a model
airgap inbox show /srv/inbox ranker:v1 --model
# Sign it with its packages, in a channel
airgap inbox sign /srv/inbox summarizer:v1 /srv/depot --key anna.key \
    --with-env --channel production
# Remove what is signed
airgap inbox discard /srv/inbox --signed
# Remove what nobody has signed for a month
airgap inbox discard /srv/inbox --older-than 30d
# Import what arrives in a folder, and move it away afterwards
airgap watch /srv/inbox --move-done /srv/done
# Check once, from cron
airgap watch /srv/inbox --once --quiet
# Make a key in the current folder
airgap key generate builder
# Make a key that a FIPS machine reads, without a passphrase
airgap key generate builder --algorithm ecdsa-p384-sha384 --no-passphrase
# Show the id of a public key
airgap key fingerprint builder.pub
# Show the id of a key on a token
airgap key fingerprint 'pkcs11:token=site;object=builder'
# Write the public half of a private key
airgap key export-public builder.key -o builder.pub
# Write that of a key in an ssh-agent
airgap key export-public ssh-agent:SHA256:AbCd... -o builder.pub
# Make the root of a site
airgap root create --site hospital-north --root-key site.key \
    --builder builder.pub -o root.msgpack
# Require two of three approvers
airgap root create --site hospital-north --root-key site.key \
    --builder builder.pub --approver ann.pub --approver bob.pub \
    --approver cem.pub --threshold approver=2 -o root.msgpack
# Show whom a root trusts
airgap root show root.msgpack
# Show what a proposal changes, and who must still sign it
airgap root show next.msgpack --from root.msgpack
# Sign a root that you have read; its fingerprint is asked for
airgap root sign root.msgpack --key site.key
# Sign a proposal with a root key of the version before
airgap root sign next.msgpack --from root.msgpack --key site.key
# Print a page to read aloud, sign and file
airgap root ceremony-sheet root.msgpack
# Write it into a file
airgap root ceremony-sheet root.msgpack > sheet.txt
# Add a builder
airgap root add-key root.msgpack builder new.pub -o next.msgpack
# Add a scanner to a proposal
airgap root add-key next.msgpack scanner scanner.pub
# Remove a builder by its file
airgap root remove-key root.msgpack builder old.pub -o next.msgpack
# Remove one by the beginning of its id
airgap root remove-key next.msgpack builder 51334a90
# Revoke a key that was stolen
airgap root revoke-key root.msgpack builder.pub -o next.msgpack
# Say since when it was out of its owner's hands
airgap root revoke-key root.msgpack builder.pub --since 2026-01-31 \
    -o next.msgpack
# Require two builders
airgap root set-threshold root.msgpack builder=2 -o next.msgpack
# Require two root keys, and no scanner any more
airgap root set-threshold next.msgpack root=2 scanner=0
# Let no site import a bundle any more
airgap root revoke-bundle root.msgpack \
    90eed045b8a4cd5c1a0c7b8f2d6a0c9f7f8f1f0c5b8c1d3e4a5b6c7d8e9f0a1b \
    -o next.msgpack
# Add a second one to the proposal
airgap root revoke-bundle next.msgpack \
    1ebb34ac5d2a8c7e6d5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a3928170605
# Refuse everything before number 7 of a channel
airgap root set-min-sequence root.msgpack production=7 -o next.msgpack
# Raise it in a proposal
airgap root set-min-sequence next.msgpack production=8
# Let the root expire in two years
airgap root set-expiry root.msgpack 2y -o next.msgpack
# Let it end with a date
airgap root set-expiry next.msgpack 2030-12-31
# Require a scanner's rehearsal of every bundle
airgap root demand root.msgpack rehearsal --role scanner -o next.msgpack
# Require two reviews that are at most 30 days old
airgap root demand next.msgpack review --role approver --threshold 2 \
    --max-age 30d
# Forbid archives without a signed manifest
airgap root forbid root.msgpack allow-unsigned -o next.msgpack
# Allow them again
airgap root forbid next.msgpack allow-unsigned --lift
# Accept two values of a label, and require it
airgap root limit-label root.msgpack classification public internal \
    --required -o next.msgpack
# Remove what the root says of it
airgap root limit-label next.msgpack classification --lift
# Let servers be recognized by the site's CA and known_hosts only
airgap root limit-anchors root.msgpack ca known_hosts -o next.msgpack
# Allow all options again
airgap root limit-anchors next.msgpack --any
# Say whose key it is
airgap root name-key root.msgpack builder.pub "Ann, build team" \
    -o next.msgpack
# Remove the name of a key
airgap root name-key next.msgpack 51334a90 ""
# Encrypt sealed bundles to the site's key
airgap root add-recipient root.msgpack \
    age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p \
    --label "ward gateway" -o next.msgpack
# Encrypt them also to a key that is kept in a safe
airgap root add-recipient next.msgpack \
    age1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm \
    --label "safe" --purpose escrow
# Encrypt to a recipient no longer
airgap root remove-recipient root.msgpack "ward gateway" -o next.msgpack
# Name it by its beginning
airgap root remove-recipient next.msgpack age1ql3z7hjy54
# Let the time stamps of an authority count
airgap root add-authority root.msgpack tsa.pem -o next.msgpack
# Only those of certain years
airgap root add-authority next.msgpack tsa.pem \
    --from 2026-01-01 --until 2030-12-31
# Let none of an authority count any more
airgap root remove-authority root.msgpack tsa.pem -o next.msgpack
# Name it by the first digits of its SHA-256
airgap root remove-authority next.msgpack 51334a90
# Say which policy about licences the site uses
airgap root set-policy root.msgpack licence licences.toml -o next.msgpack
# Say nothing of it any more
airgap root set-policy next.msgpack licence --lift
# Let no receipt leave without the signature of an approver
airgap root set-receipts root.msgpack --approvals 1 -o next.msgpack
# Let receipts have free text
airgap root set-receipts next.msgpack --notes
# Trust the site whose root came with a bundle; the fingerprint is asked for
airgap trust init /media/usb/depot
# Trust a root in a script
airgap trust init root.msgpack --fingerprint \
    SHA256:51334a90ad8e5a7d1b2c3d4e5f60718293a4b5c6d7e8f9011223344556677889
# Show whom this machine trusts, and the head of its ledger
airgap trust show
# The same for a program
airgap trust show --json
# See what is damaged, and reset the history after a question
airgap trust reset-state
# Reset it without a terminal, with the head that the command prints
airgap trust reset-state --yes \
    ac15a90dd8e5a7d1b2c3d4e5f60718293a4b5c6d7e8f901122334455667788aa
# Take over the newer roots of a depot
airgap trust update /media/usb/depot
# Take over two versions at once
airgap trust update root-2.msgpack root-3.msgpack
# Sign a bundle as a second builder
airgap sign /media/usb/depot --key builder2.key
# Sign one of several bundles
airgap sign /srv/depot --key builder2.key --bundle \
    90eed045b8a4cd5c1a0c7b8f2d6a0c9f7f8f1f0c5b8c1d3e4a5b6c7d8e9f0a1b
# Accept a bundle by the report of a virus scanner
airgap attest /media/usb/depot --role scanner --findings clamav.txt \
    --key scanner.key
# Reject it, by a rehearsal
airgap attest /media/usb/depot --role scanner --name rehearsal \
    --findings proof.json --reject --key scanner.key
# Accept a bundle as an approver
airgap approve /media/usb/depot --key approver.key
# Reject it, with a reason
airgap approve /media/usb/depot --key approver.key --reject \
    --note "wrong model"
# Permit a site to go back to an older bundle for a week
airgap waive /media/usb/depot --site hospital-north \
    --reason "v2 fails on scans" --expires 7d --key approver.key
# Add the signature of a second approver
airgap waive 90eed045.waiver --key approver2.key
# Install the packages of a Bento that was imported
airgap env create summarizer:v2
# Install them into a folder, for another interpreter
airgap env create summarizer:v2 /srv/summarizer \
    --python /usr/bin/python3.12
# List the environments of this machine
airgap env list
# Also those in a folder
airgap env list /srv/summarizer
# Serve a Bento in its environment
airgap env run summarizer:v2
# Serve it on another port
airgap env run summarizer:v2 -- serve --port 3001
# Remove the environment of a Bento
airgap env remove summarizer:v2
# Remove the one in a folder
airgap env remove /srv/summarizer
# Put the image of a Bento together on an imported base
airgap image build summarizer:v2 --base python-base:3.12
# Use a base that was saved by docker
airgap image build summarizer:v2 --base base.tar
# List the images that were imported
airgap image list
# The same for a program
airgap image list --json
# Push an image to the site's registry
airgap image push summarizer:v2 registry.site:5000/team/summarizer:v2
# Log in there, and recognize it by the CA of the site
airgap image push summarizer:v2 registry.site/team/summarizer:v2 \
    --user ci --password-env REGISTRY_PASSWORD --ca /etc/ca.pem
# Write an image for docker load
airgap image save summarizer:v2 summarizer.tar
# Write an OCI layout of one platform
airgap image save summarizer:v2 layout --platform linux/amd64
# Make a kit for the Python of this machine
airgap kit -o /media/usb/kit
# Make one for two versions of Python, with the root of the site
airgap kit -o /media/usb/kit --python 3.11,3.12 --include-root root.msgpack
# Serve a Bento without a network, with its own example
airgap prove summarizer:v2
# Send a request of yours, and write the report
airgap prove summarizer:v2 --request request.txt --report proof.json
# Rehearse an import before the bundle leaves
airgap rehearse /media/usb/depot
# Rehearse one Bento of it, and write the report to be signed
airgap rehearse /media/usb/depot --bento summarizer:v2 --report proof.json
# Say what the files of a bundle would run
airgap scan /media/usb/depot
# Ask a scanner too, and sign the report
airgap scan /media/usb/depot --with clamscan --report scan.json \
    --sign scanner.key
# Take in the receipts that came back from a site
airgap receipt accept ward.production.7.3f2a9c4177e012ab.9.receipt.json \
    --root ward.root.msgpack
# Accept a receipt of a site whose history was reset
airgap receipt accept ward.production.9.3f2a9c4177e012ab.12.receipt.json \
    --new-ledger replaces
# Read what is about to leave the site
airgap receipt show ward.production.7.3f2a9c4177e012ab.9.receipt.json
# Read it with a root that this machine does not trust
airgap receipt show ward.production.7.3f2a9c4177e012ab.9.receipt.json \
    --root ward.root.msgpack
# Let a receipt leave
airgap receipt approve --key eve.key \
    unapproved/ward.production.7.3f2a9c4177e012ab.9.receipt.json
# Let it leave without a question, in a script
airgap receipt approve \
    unapproved/ward.production.7.3f2a9c4177e012ab.9.receipt.json --yes \
    --key ssh-agent:SHA256:47DEQpj8HBSa
# See who has not confirmed what, since when
airgap receipt list --missing
# List the receipts of one site
airgap receipt list --site ward
# See what a site still has
airgap receipt holds ward
# Get that as JSON
airgap receipt holds ward --json
# Print the five lines that are read out by phone
airgap receipt note ward.production.7.3f2a9c4177e012ab.9.receipt.json
# Verify the receipt first
airgap receipt note ward.production.7.3f2a9c4177e012ab.9.receipt.json \
    --root ward.root.msgpack
# Collect what was signed about a bundle, as an in-toto bundle
airgap evidence /media/usb/depot -o shop.intoto.jsonl
# Collect it in a folder that an auditor checks with openssl
airgap evidence /media/usb/depot -o evidence
# Report on what this machine did, and on the bundles of a depot
airgap audit /media/usb/depot -o report.html --evidence evidence
# Report on two ledgers that others exported, on a laptop that trusts nobody
airgap audit --ledger exports --ledger imports -o report.html \
    --root ward.root.msgpack --fingerprint \
    SHA256:51334a90ad8e5a7d1b2c3d4e5f60718293a4b5c6d7e8f9011223344556677889
# Let a publisher's evidence travel with a bundle
airgap attach /media/usb/depot model.sig
# Let a scanner's output travel on every volume
airgap attach /media/volume-1 /media/volume-2 clamav.txt --name clamav
# Keep all bundles of a depot for the time of a class
airgap archive add /media/usb/depot /srv/archive \
    --class high-risk --policy archive.toml --key recorder.key
# Keep what was exported straight into an archive
airgap archive add sftp://vault.example/archive \
    --class logs --policy archive.toml --key recorder.key
# See until when what is kept
airgap archive list /srv/archive
# See what an archive on a server keeps, for a program
airgap archive list sftp://vault.example/archive --json
# See why a bundle is kept, and who said so
airgap archive show /srv/archive#3f9a2b81
# Give the records of a bundle to a program
airgap archive show /srv/archive#3f9a2b81 --json
# Keep a bundle that a court asks for
airgap archive hold /srv/archive#3f9a2b81 \
    --reason "case 7 O 12/31" --key recorder.key
# Put a hold on a bundle of an archive on a server
airgap archive hold sftp://vault.example/archive#3f9a2b81 \
    --reason "incident 114" --key recorder.key
# Lift a hold
airgap archive release /srv/archive#3f9a2b81 --hold 90ffc41d \
    --reason "case closed" --key approver.key
# Put a release that enough approvers signed into the archive
airgap archive release /srv/archive --from 3f9a2b817c5e0d46.release.json
# Look at what protects an archive, and prove that the escrow opens its seals
airgap archive doctor /srv/archive --identity escrow.identity
# Lock every file in a bucket as long as the records demand
airgap archive doctor @vault --lock
# Have an authority stamp every signature of a bundle
airgap timestamp depot --tsa https://tsa.example/ --certificate ca.pem
# Renew the stamps whose certificates end within half a year
airgap timestamp depot --tsa https://tsa.example/ --renew --before 26w
# Write the bill of materials of a bundle
airgap bom /media/usb/depot -o summarizer.cdx.json
# Show what is installed, in CycloneDX 1.7
airgap bom --installed summarizer:v1 --format cyclonedx-1.7
# See whether a bundle may be imported by the site's licence policy
airgap licenses /media/usb/depot --policy licences.toml
# Check the licences of everything that is installed
airgap licenses --installed --policy licences.toml
# Show everything that happened here
airgap log
# Show the refusals of the last 30 days
airgap log --event refused --since 30d
# Check everything that was imported
airgap check
# Check one Bento and one model, from cron
airgap check summarizer:v2 ranker --quiet
# See what would be removed
airgap remove ranker:v1 --dry-run
# Remove a snapshot of the Hugging Face cache
airgap remove acme--tiny:v1 --kind hugging-face --yes
# See what nothing here needs
airgap prune --dry-run
# Also remove all but the newest two versions of each Bento
airgap prune --keep 2
# See what is set on this machine, and where
airgap config show
# See every option of one command
airgap config show export --defaults
# Check this machine
airgap doctor
# Print only what is wrong and what to know
airgap doctor --quiet
# Read a page in the terminal
airgap docs getting-started
# Read what a term means
airgap docs fingerprint
# Complete words in bash
airgap completion bash > ~/.local/share/bash-completion/completions/airgap
# Complete words in fish
airgap completion fish > ~/.config/fish/completions/airgap.fish
# See it all work, in a temporary folder
airgap demo
# With Python packages from the index, and keep the folder
airgap demo --with-env --keep
# Sign how long the ledger of imports is
airgap ledger checkpoint --key recorder.key
# Write down the length of the ledger of exports, for the other side
airgap ledger checkpoint --exports --key recorder.key -o exports.checkpoint
# Prove to an auditor that a bundle was imported
airgap ledger prove 90eed045 -o proof
# Prove entry 17, with a new checkpoint
airgap ledger prove 17 --key recorder.key -o proof-17
# Verify what a site proves
airgap ledger verify proof --recorder hospital-north.pub
# Verify that a ledger continues an older checkpoint
airgap ledger verify next.consistency --old last.checkpoint
# Write what a witness needs that has signed 120 entries
airgap ledger consistency 120 -o next.consistency
# The same for a checkpoint that you have kept
airgap ledger consistency last.checkpoint -o next.consistency
# Sign as a witness that a ledger was not rewritten
airgap ledger cosign next.consistency --name audit.example/laptop-3 \
    --key witness.key -o cosigned.checkpoint
# Do so for a site whose root is not trusted here
airgap ledger cosign next.consistency --name audit.example/laptop-3 \
    --recorder hospital-north.pub --key witness.key -o cosigned.checkpoint
# Give an auditor the whole ledger
airgap ledger export -o ledger-2026
# Give them what is new since the last time
airgap ledger export --since last.checkpoint -o ledger-since
# Read everything in an archive, and keep the signed result in it
airgap archive check /srv/archive --sign recorder.key
# Read a part each night, of what nobody has read for 90 days
airgap archive check /srv/archive \
    --sample 5% --older-than 90d --sign recorder.key
# Put the results of all machines together
airgap archive merge results/*.json \
    --archive /srv/archive --sign recorder.key
# Say only whether all shards are good
airgap archive merge 1.json 2.json 3.json
# Stamp again what ends within 180 days
airgap archive renew /srv/archive --tsa https://tsa.example/tsr
# Carry requests by hand, with an index of stronger digests
airgap archive renew /srv/archive --hash sha512 \
    --request asked --response answered
""")
