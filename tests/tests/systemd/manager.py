"""A service manager as small as can be, which does what systemd does with Type=notify, Restart=always,
KillMode=process and FileDescriptorStoreMax=. The first argument is its journal; the rest is the command.

Each line of the journal is one notice: who sent it, what it said, and whether it was listened to.
"""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
import time

journal, command = sys.argv[1], sys.argv[2:]
# What is left behind by a process of the service becomes ours, as it becomes systemd's.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notices.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
notices.bind(os.environ["NOTIFY_SOCKET"])
notices.settimeout(0.02)

# Kept descriptors with their names, by inode.
store = {}
main = 0
stopping = False


def start():
    child = os.fork()
    if child:
        return child
    # From a high place, so that no move overwrites one that is still to be moved.
    kept = [(os.dup2(fd, 500 + number), name) for number, (fd, name) in enumerate(store.values())]
    for number, (fd, _) in enumerate(kept):
        os.dup2(fd, 3 + number, inheritable=True)
    os.closerange(3 + len(kept), 1000)
    named = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(kept))}
    named["LISTEN_FDNAMES"] = ":".join(name for _, name in kept)
    os.execve(command[0], command, {**os.environ, **named})


def listen():
    global main
    try:
        data, control, _, _ = notices.recvmsg(4096, socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * 8))
    except TimeoutError:
        return
    sender, descriptors = 0, []
    for level, kind, payload in control:
        if kind == socket.SCM_RIGHTS:
            descriptors += struct.unpack(f"{len(payload) // 4}i", payload)
        else:
            sender = struct.unpack("3i", payload)[0]
    said = dict(line.split("=", 1) for line in data.decode().splitlines())
    heard = sender == main
    for descriptor in descriptors:
        inode = os.fstat(descriptor).st_ino
        if heard and "FDSTORE" in said and inode not in store:
            store[inode] = (descriptor, said["FDNAME"])
        else:
            os.close(descriptor)
    if heard and "FDSTOREREMOVE" in said:
        for inode in [inode for inode, (_, name) in store.items() if name == said["FDNAME"]]:
            os.close(store.pop(inode)[0])
    if heard and "MAINPID" in said:
        main = int(said["MAINPID"])
    # Last: who reads of it finds it done.
    with open(journal, "a", encoding="utf-8") as file:
        file.write(json.dumps({"pid": sender, "said": said, "descriptors": len(descriptors), "heard": heard}) + "\n")


def stop(*_):
    global stopping
    stopping = True
    os.kill(main, signal.SIGTERM)


def shut_down(*_):
    """What no service manager does: the sockets that are kept for clear text listen no more."""
    for descriptor, name in store.values():
        if name.startswith("prumo.http."):
            with socket.socket(fileno=os.dup(descriptor)) as kept:
                kept.shutdown(socket.SHUT_RDWR)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, shut_down)
signal.signal(signal.SIGHUP, lambda *_: os.kill(main, signal.SIGHUP))
main = start()
while True:
    listen()
    try:
        ended, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        ended, status = 0, 0
    if ended == main and stopping:
        sys.exit(os.waitstatus_to_exitcode(status))
    if ended == main:
        time.sleep(0.2)
        main = start()
