"""The executors that come with core: how a job runs on this host, and on a host behind SSH.

Begin with `keeper`, the program that stays with a job wherever it runs. ``transports`` has the two executors. ``workdir`` selects
the files of a folder that belong to a job and copies them there and back. ``watchdog`` powers off a rented machine that nobody
gives back.

``environment.py`` makes the environment of setup and command, ``container.py`` makes two scripts for a job with an image, and
``places.py`` names the folders of a run. ``local_spec.py`` and ``ssh_spec.py`` are the records by which plugins are found; they
import nothing else.
"""
