"""The request bodies of the published API; unknown fields are refused."""

from __future__ import annotations

from lepton_sdk.testing.doubles import Body, items, record, text

__all__ = ["CREATE_DISK", "CREATE_MACHINE", "CREATE_PARTITION"]

CREATE_MACHINE = Body(
    {"name": text(63, 1), "type": text(shortest=1), "location": text(shortest=1), "ssh_public_key": text(shortest=1)},
    {
        "image": text(),
        "disks": items(record(disk_id=text(), mode=text(), attachment_type=text())),
        "host_channel_adapters": items(record(transport_partition_id=text())),
        "startup_script": text(),
    },
)
CREATE_DISK = Body({"name": text(63, 1), "location": text(), "size": text(pattern=r"\d+[GT]iB"), "type": text()})
CREATE_PARTITION = Body({"name": text(63, 1), "ib_network_id": text()})
