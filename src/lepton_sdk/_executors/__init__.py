"""The executors that come with core: how a job runs on this host, and on a host behind SSH.

Begin with `keeper`, the program that stays with a job wherever it runs. ``transports`` holds the two executors, ``workdir`` knows
which files of a folder belong to a job and brings them there and back, and ``watchdog`` powers a rented machine off that nobody
gives back.

``environment.py`` says what setup and command see, ``container.py`` makes two scripts of a job that has an image, and
``places.py`` says where the files of a run lie. ``local_spec.py`` and ``ssh_spec.py`` are the records by which plugins are
found; they import nothing else.
"""
