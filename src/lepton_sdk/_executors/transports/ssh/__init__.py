"""Jobs on hosts behind SSH. Begin with ``executor.py``.

``host.py`` is one host and the keeper on it. It makes connections (``connection.py``) when it needs them, after ``hostkeys.py``
has checked the host's key, and opens a channel (``channel.py``) for each call. ``sending.py`` sends a workdir and ``fetching.py``
fetches outputs; ``progress.py`` reports how far they are. ``first_output.py`` gives the channel of a start to the first reader of
the run's log, and ``deadline.py`` ends work that takes too long.
"""
