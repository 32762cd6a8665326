from __future__ import annotations

import subprocess
import sys

import pytest

from guard.freed_memory import FreedMemory

PROGRAM = """
import ctypes
from guard.freed_memory import FreedMemory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) // 256

blocks = [bytearray(b"x" * 60_000) for _ in range(1_000)]
kept = blocks[::50]
full = resident()
del blocks[:]
before = resident()
assert FreedMemory().hand_back()
print(full - before, before - resident())
"""
glibc = pytest.mark.skipif(FreedMemory()._trim is None, reason="this system has no malloc_trim")


@glibc
def test_freed_memory_between_blocks_in_use_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    _by_itself, handed_back = map(int, done.stdout.split())
    assert handed_back > 35  # of 57 MiB


@glibc
def test_it_is_handed_back_at_most_once_a_second() -> None:
    now = iter([0.0, 0.5, 0.99, 1.0, 1.5, 2.5])
    memory = FreedMemory(lambda: next(now))
    assert [memory.hand_back() for _ in range(6)] == [True, False, False, True, False, True]


def test_where_the_system_cannot_nothing_is_asked() -> None:
    memory = FreedMemory()
    memory._trim = None
    assert not memory.hand_back()
