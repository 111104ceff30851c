"""Jobs as processes of this host. Begin with ``executor.py``; ``shell.py`` is the pipe to the keeper, ``log.py`` reads output
from its file, and ``earlier.py`` knows the runs that a version with another keeper has left."""
