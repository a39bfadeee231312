"""Runs a stage: ``python -m stages data.split ...``, see :mod:`stages.common.run`."""

from stages.common.run import start

start()
