"""The request bodies of the published API; unknown fields are refused."""

from __future__ import annotations

from lepton_sdk.testing.doubles import Body, either, items, record, text

__all__ = ["LAUNCH", "NEW_KEY", "TERMINATE"]

_BY_ID, _BY_FAMILY = record(id=text()), record(family=text())

LAUNCH = Body(
    {"region_name": text(), "instance_type_name": text(), "ssh_key_names": items(text(), 1, 1)},
    {
        "file_system_names": items(text()),
        "file_system_mounts": items(record(mount_point=text(), file_system_id=text())),
        "hostname": text(pattern="[a-z0-9][0-9a-z-]{0,62}"),
        "name": text(64),
        "image": either(_BY_ID, _BY_FAMILY),
        "user_data": text(),
        "tags": items(record(key=text(55, pattern="[a-z][a-z0-9-:]+"), value=text(128))),
        "firewall_rulesets": items(_BY_ID),
    },
)
TERMINATE = Body({"instance_ids": items(text())})
# The double creates no key pairs itself.
NEW_KEY = Body({"name": text(64, 1), "public_key": text(4096, 1)})
