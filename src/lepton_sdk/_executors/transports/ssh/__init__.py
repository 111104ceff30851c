"""Jobs on hosts behind SSH. Begin with ``executor.py``.

``host.py`` is one host and the keeper on it; it makes a ``connection.py`` where it needs one, after ``hostkeys.py`` has checked
whose it is, and opens a ``channel.py`` for each call. ``sending.py`` brings a workdir there and ``fetching.py`` brings outputs
back; ``progress.py`` says how far they are. ``first_output.py`` hands the channel of a start on to whoever follows the run, and
``deadline.py`` ends what takes too long.
"""
