"""The memory that reading hostile files takes, measured in a process of its own."""

import subprocess
import sys

CODE = """
import resource, sys
from pathlib import Path
from neocog.errors import NeocogError
{imports}
for path in sorted(Path(sys.argv[1]).glob(sys.argv[2])):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        {read}(path)
    except NeocogError as error:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error.message)
"""


def megabytes_of_refusals(folder, pattern, imports, read):
    """By how many MB the peak grows for each file that `read` refuses, and what was printed.

    `imports` are statements that are run first, so that what they take does not count.
    """
    code = CODE.format(imports=imports, read=read)
    child = subprocess.run(
        [sys.executable, "-c", code, folder, pattern],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [int(line.split()[0]) / 1024 for line in child.stdout.splitlines()], child.stdout
