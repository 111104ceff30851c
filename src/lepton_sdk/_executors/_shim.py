"""Starts the keeper of an execution: ``python -I -S _shim.py FOLDER LOCK``, orders on stdin.

A program is compiled each time it starts and a module only once, so the keeper itself is a module. Its folder comes last
on the path: nothing here can stand in for a part of the standard library.
"""

import sys

if __name__ == "__main__":
    sys.path.append(__file__.rpartition("/")[0])
    from _keeper import main  # type: ignore[import-not-found]

    main(sys.argv[1], int(sys.argv[2]))
