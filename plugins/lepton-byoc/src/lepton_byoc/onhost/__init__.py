"""The part that runs on a host itself: the probe, and the record of allocated GPUs. Begin with `program`.

It is sent as one file and runs in the host's own Python (3.8 or newer), so this package imports only the standard library
and ``pynvml``, which is packed with it. A value that cannot be read is ``None``, which means unknown.
"""
