"""Rows and their checksums."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from writing import filled

from lepton_sdk._journal import Journal
from lepton_sdk.errors import JournalCorrupt


def test_a_changed_record_is_never_read_as_truth(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    (run,) = filled(journal, 1)
    with journal._store.transaction() as execute:
        execute("UPDATE runs SET record = replace(record, 'true', 'evil')")
    for ask in (lambda: journal.run(run), journal.runs, journal.verify):
        with pytest.raises(JournalCorrupt, match="checksum"):
            ask()
