"""The files of a job: which of a folder belong to it, how they get to a node, and how its outputs come back.

Begin with ``walk.py``: it goes through a workdir by the rules of ``ignore.py``. For a run on this host ``copy.py`` makes a copy.
For a node, ``tree.py`` is a workdir as names and hashes, ``known.py`` remembers which one was sent last, ``pack.py`` makes the
archive of what the node lacks, and ``tar.py`` writes its entries. On the way back ``unpacking.py`` reads an archive of a node
that may lie, ``outputs.py`` reads a folder of this host, and ``landing.py`` is where both arrive.
"""
