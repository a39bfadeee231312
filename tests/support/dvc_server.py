"""Commands of DVC, each in a process of its own that has not to import it first.

Each line of standard input is JSON: a command's words, folder and environment, and the files
for what it prints. Its exit status is a line of standard output.
"""

import json
import os
import sys
from importlib import import_module

from dvc.cli import main

# What most commands import when they run.
for name in ("dvc.repo.reproduce", "dvc.commands.repro", "dvc.dvcfile", "networkx"):
    import_module(name)
for line in sys.stdin:
    words, folder, environment, *files = json.loads(line)
    if process := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
        continue
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate((os.devnull, *files)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    sys.argv[1:] = words
    sys.exit(main(words))
