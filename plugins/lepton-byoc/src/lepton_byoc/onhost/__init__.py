"""What runs on a host itself: the probe, and the record of who holds which GPU.

It is sent as one file and run by the host's own Python (3.8 or newer), so nothing here imports anything but the standard library
and ``pynvml``, which is packed beside it. Every value that cannot be read is ``None``, which means unknown.
"""
