"""Mounts the smallest FUSE file system there is over a folder, and runs a command beside it.

`fuse.py FOLDER COMMAND...`: exits as the command does, or 77 where nothing can be mounted.
"""

import ctypes
import os
import struct
import subprocess
import sys
import threading
import time

INIT, GETATTR = 26, 3
HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
DIRECTORY = 0o040755


def mount(folder: str) -> int:
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"test", folder.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def serve(descriptor: int) -> None:
    while request := os.read(descriptor, 1 << 17):
        _, opcode, unique, *_ = HEADER.unpack_from(request)
        error, answer = reply(opcode)
        os.write(descriptor, struct.pack("<IiQ", 16 + len(answer), -error, unique) + answer)


def reply(opcode: int) -> tuple[int, bytes]:
    if opcode == INIT:
        return 0, struct.pack("<IIIIHHI", 7, 22, 0, 0, 0, 0, 4096)
    if opcode == GETATTR:
        times = (int(time.time()),) * 3
        attributes = struct.pack("<QQQQQQ10I", 1, 0, 0, *times, 0, 0, 0, DIRECTORY, 2, *(0,) * 5)
        return 0, struct.pack("<QII", 1, 0, 0) + attributes
    return 38, b""  # ENOSYS


def main(folder: str, *command: str) -> int:
    try:
        descriptor = mount(folder)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 77
    threading.Thread(target=serve, args=(descriptor,), daemon=True).start()
    return subprocess.run(command, check=False, timeout=30).returncode


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))
