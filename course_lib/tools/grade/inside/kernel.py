"""What the kernel keeps from a student's process: calls that a filter refuses, and limits on what it uses.

The filter (seccomp, mode 2) is a program of classic BPF that the child loads before it reads a line of a student's,
so that it holds under bubblewrap and without it. What is refused answers "not permitted" and the code goes on.
"""

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Sequence
from pathlib import Path

PDEATHSIG, DUMPABLE, GET_SECCOMP, SECCOMP, SUBREAPER, NO_NEW_PRIVS = 1, 4, 21, 22, 36, 38  # options of prctl(2)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of numbers below, AUDIT_ARCH
_NEWUSER = 0x10000000
_FAMILIES, _LOCAL = (1, 2, 10, 16), (1, 16)  # sockets: local, IPv4, IPv6, netlink; not the host's (VSOCK), not crypto
# System calls that no exercise needs, (x86-64, aarch64) by name.
NEVER = {
    # keyrings are shared with the grader, and between students
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # memory and messages that outlive a process, or belong to none and are counted nowhere
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # namespaces and mounts: room that no limit reaches
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432),
    # other processes, and ways past this filter
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
}  # fmt: skip
# Calls that may change the caller and no other process: the arguments that must be 0.
ONLY_SELF = {
    "prlimit64": (302, 261, (0,)), "sched_setaffinity": (203, 122, (0,)), "sched_setscheduler": (144, 119, (0,)),
    "sched_setparam": (142, 118, (0,)), "sched_setattr": (314, 274, (0,)), "setpriority": (141, 140, (0, 1)),
    "ioprio_set": (251, 30, (1,)),
}  # fmt: skip
SIGNALS = ((62, 129), (200, 130), (234, 131), (129, 138), (297, 240), (434, 434))  # kill, t(g)kill, sigqueue, pidfd
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
_LD, _JEQ, _JSET, _JGE, _RET = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def program(machine: str, protected: Sequence[int] = (), network: bool = True) -> bytes:
    """The filter for x86_64 or aarch64, as the kernel's array of (code, jt, jf, k).

    protected are process ids that must get no signal (kill's argument, so -1 is everybody); without network there are
    no sockets but local ones. Code for another machine is killed, and x32's numbers are refused. Raises KeyError for
    a machine that it does not know.
    """
    column, arch = MACHINES[machine]
    told = [(_LD, 0, 0, 4), (_JEQ, 1, 0, arch), (_RET, 0, 0, _KILL), (_LD, 0, 0, 0)]
    told += [(_JGE, 0, 1, 0x40000000), (_RET, 0, 0, _EPERM)]
    for numbers in NEVER.values():
        told += when(numbers[column], [(_RET, 0, 0, _EPERM)])
    for *numbers, arguments in ONLY_SELF.values():
        tests = [one for argument in arguments for one in (argument_of(argument), *unless([0]))]
        told += when(numbers[column], [*tests, (_RET, 0, 0, _ALLOW)])
    tests = [argument_of(0), (_JSET, 0, 1, _NEWUSER), (_RET, 0, 0, _EPERM), (_RET, 0, 0, _ALLOW)]
    told += when(CLONE[column], tests)
    told += when(CLONE3[column], [(_RET, 0, 0, _ENOSYS)])  # its flags lie in memory; the C library then takes clone
    allowed = unless(_FAMILIES if network else _LOCAL)
    told += when(SOCKET[column], [argument_of(0), *allowed, (_RET, 0, 0, _ALLOW)])
    for numbers in SIGNALS if protected else ():
        tests = [one for pid in protected for one in ((_JEQ, 0, 1, pid & 0xFFFFFFFF), (_RET, 0, 0, _EPERM))]
        told += when(numbers[column], [argument_of(0), *tests, (_RET, 0, 0, _ALLOW)])
    return b"".join(struct.pack("<HBBI", *one) for one in [*told, (_RET, 0, 0, _ALLOW)])


def argument_of(place: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument, which is all that a number of 32 bits has."""
    return _LD, 0, 0, 16 + 8 * place


def when(number: int, then: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """These instructions, which end in a verdict, for one system call, whose number is what is loaded."""
    return [(_JEQ, 0, len(then), number), *then]


def unless(values: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Refuse where the loaded argument is none of these."""
    return [*((_JEQ, len(values) - at, 0, value) for at, value in enumerate(values)), (_RET, 0, 0, _EPERM)]


def filtered(protected: Sequence[int], network: bool) -> None:
    """Load the filter, for this process and all it starts; raises OSError where the kernel has none."""
    code = program(platform.machine(), protected, network)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    if prctl(SECCOMP, 2, ctypes.addressof(head)) != 0:
        raise OSError("the kernel takes no filter of system calls (seccomp)")


def own_keyring() -> None:
    """Leave the session keyring of whoever started us for an empty one."""
    column = MACHINES[platform.machine()][0]
    ctypes.CDLL(None).syscall(NEVER["keyctl"][column], 1, None, 0, 0, 0)  # KEYCTL_JOIN_SESSION_KEYRING


def limited(seconds: float, memory: int, processes: int, file: int) -> None:
    """Kernel limits on this process and what it starts; memory comes on top of what is in use."""
    whole = int(seconds) + (seconds > int(seconds))
    sizes = [int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()]
    wanted = {
        resource.RLIMIT_CPU: (whole, whole + 1),
        resource.RLIMIT_AS: (sizes[0] + 2 * memory,) * 2,
        resource.RLIMIT_DATA: (sizes[5] + memory,) * 2,
        resource.RLIMIT_FSIZE: (file,) * 2,
        resource.RLIMIT_NOFILE: (128,) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    if processes:
        wanted[resource.RLIMIT_NPROC] = (processes,) * 2
    for limit, (soft, hard) in wanted.items():
        allowed = resource.getrlimit(limit)[1]
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)
        resource.setrlimit(limit, (soft, hard))


def everybody_else() -> tuple[int, ...]:
    """What a child may send no signal to where it has no process namespace: all at once, and the first process."""
    parent = os.getppid()
    return -1, parent, -os.getpgid(parent)


def prctl(option: int, value: int, pointer: int = 0) -> int:
    """prctl(2), which Python does not offer."""
    return ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(pointer), 0, 0)
