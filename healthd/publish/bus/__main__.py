"""`python -m healthd.publish.bus DIRECTORY`: write the interfaces' XML, from the declarations."""

import os
import sys

from healthd.observe import collectors, families
from healthd.publish.bus.interface import documents
from healthd.publish.bus.manager import INTERFACE


def main(directory: str) -> None:
    """Write one file an interface, and remove those of interfaces that are gone."""
    written = documents((family.reading for family in families(collectors())), INTERFACE)
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        if name.endswith(".xml") and name not in written:
            os.unlink(os.path.join(directory, name))
    for name, text in written.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(sys.argv[1])
