"""A verifier from outside (PyPI aics-tlog) on a copy of an audit log.

Arguments: the directory of the copy, the log's verifier key, the size of an older tree and its root in base64.
Prints `sound` and exits 0, or says what is wrong.
"""

import base64
import pathlib
import sys

import aics_tlog as outside
from aics_tlog.verified import audit_tiles


def main() -> None:
    directory, key, old_size, old_root = sys.argv[1:]
    key = outside.parse_vkey(key)
    note = outside.parse_note(pathlib.Path(directory, "checkpoint").read_bytes())
    verdict = outside.verify_checkpoint(note, key, expected_origin=key.name)
    if not verdict.ok:
        sys.exit(f"checkpoint: {verdict.error}")
    reader = outside.FileSystemTileReader(directory)
    report = audit_tiles(reader, verdict.size, verdict.root)
    proof = outside.consistency_proof_from_tiles(reader, int(old_size), verdict.size)
    grew = outside.verify_consistency(
        int(old_size), verdict.size, base64.b64decode(old_root), verdict.root, proof
    )
    if not grew:
        sys.exit("not a continuation")
    print(f"sound {report.tiles} tiles {report.bundles} bundles")


main()
