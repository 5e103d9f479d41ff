"""What ``lab.py`` is made of: the environment, the host, its prompt queue, the demo.

Standard library only, and no import of the pack's other rooms: this runs before anything is installed. The one
exception, ``plots.py``, is run by the lab's own Python once matplotlib is there.
"""
