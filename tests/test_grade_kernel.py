"""What the kernel refuses a student's process, and the limits on all its processes together."""

import ctypes
import errno
import mmap
import os
import signal
import struct
import time

import pytest

from course_lib.tools.grade.inside import kernel, watching

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
OTHER = {"x86_64": 0xC00000B7, "aarch64": 0x40000003}
USUAL = {  # read, write, mmap, openat, fork and vfork where there are such, execve, futex, exit_group, getrandom
    "x86_64": (0, 1, 9, 257, 57, 58, 59, 202, 231, 318),
    "aarch64": (63, 64, 222, 56, 221, 98, 94, 278),
}


def verdict(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would make of a system call: the few instructions that the filter has, run."""
    words = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *words)
    at, loaded = 0, 0
    while True:
        operation, true, false, k = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if operation == 0x06:
            return k
        if operation == 0x20:
            (loaded,) = struct.unpack_from("<I", data, k)
            continue
        holds = {0x15: loaded == k, 0x45: bool(loaded & k), 0x35: loaded >= k}[operation]
        at += true if holds else false


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request):
    return request.param


def asked(machine: str, number: int, *arguments: int, **options) -> int:
    return verdict(kernel.program(machine, **options), kernel.MACHINES[machine][1], number, *arguments)


def test_what_no_exercise_needs_is_refused_and_all_else_is_not(machine):
    column = kernel.MACHINES[machine][0]
    for name, numbers in kernel.NEVER.items():
        assert asked(machine, numbers[column]) == EPERM, name
    for number in USUAL[machine]:
        assert asked(machine, number) == ALLOW, number
    assert len({numbers[column] for numbers in kernel.NEVER.values()}) == len(kernel.NEVER)


def test_code_for_another_machine_is_killed_and_x32_refused(machine):
    assert verdict(kernel.program(machine), OTHER[machine], 0) == KILL
    assert asked(machine, 0x40000000) == asked(machine, 0x40000000 + 520) == EPERM


def test_a_process_may_change_itself_alone(machine):
    column = kernel.MACHINES[machine][0]
    for name, (*numbers, arguments) in kernel.ONLY_SELF.items():
        assert asked(machine, numbers[column]) == ALLOW, name
        for argument in arguments:
            given = [0] * argument + [77]
            assert asked(machine, numbers[column], *given) == EPERM, (name, argument)


def test_a_process_may_start_others_but_no_namespace(machine):
    column = kernel.MACHINES[machine][0]
    clone, clone3 = kernel.CLONE[column], kernel.CLONE3[column]
    assert asked(machine, clone, signal.SIGCHLD) == asked(machine, clone, 0x003D0F00) == ALLOW
    assert asked(machine, clone, 0x10000000 | signal.SIGCHLD) == EPERM
    assert asked(machine, clone3) == ENOSYS


def test_sockets_are_of_four_kinds_and_without_network_of_two(machine):
    number = kernel.SOCKET[kernel.MACHINES[machine][0]]
    for network, allowed in ((True, {1, 2, 10, 16}), (False, {1, 16})):
        found = {family for family in range(46) if asked(machine, number, family, network=network) == ALLOW}
        assert found == allowed


def test_protected_processes_get_no_signal(machine):
    column = kernel.MACHINES[machine][0]
    for numbers in kernel.SIGNALS:
        found = {
            pid for pid in (-1, -5, 0, 1, 5, 6) if asked(machine, numbers[column], pid, protected=(-1, 5, -5)) == EPERM
        }
        assert found == {-1, 5, -5}
        assert asked(machine, numbers[column], 5) == ALLOW


def in_a_fork(run) -> str:
    """What a function writes in a process of its own."""
    inward, outward = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(outward, repr(run()).encode())
        finally:
            os._exit(0)
    os.close(outward)
    with open(inward) as told:
        said = told.read()
    os.waitpid(pid, 0)
    return said


def test_the_kernel_takes_the_filter_and_what_is_refused_goes_on():
    def run():
        kernel.prctl(kernel.NO_NEW_PRIVS, 1)
        kernel.own_keyring()
        kernel.filtered(kernel.everybody_else(), network=False)
        libc, found = ctypes.CDLL(None, use_errno=True), []
        number = kernel.NEVER["keyctl"][kernel.MACHINES[os.uname().machine][0]]
        found.append((libc.syscall(number, 0, -3, 0), ctypes.get_errno() == errno.EPERM))
        try:
            os.kill(os.getppid(), 0)
        except PermissionError:
            found.append("parent")
        os.kill(os.getpid(), 0)
        return [*found, os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)[1]]

    assert in_a_fork(run) == "[(-1, True), 'parent', 0]"


def test_a_kernel_without_filters_is_an_error(monkeypatch):
    monkeypatch.setattr(kernel, "prctl", lambda *given: -1)
    with pytest.raises(OSError, match="seccomp"):
        kernel.filtered((), True)


class Child:
    """A child that does something, says that it has, and waits."""

    def __init__(self, run):
        inward, outward = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                kept = run()
                os.write(outward, b"x")
                signal.pause()
            finally:
                os._exit(bool(kept))
        os.close(outward)
        assert os.read(inward, 1) == b"x"
        os.close(inward)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def watch(tmp_path):
    """Limits that nothing here reaches."""

    def made(**changes):
        given = {"seconds": 1e6, "memory": 10**12, "disk": 10**9, "entries": 10**6, "folder": str(tmp_path)}
        return watching.Watch(**given | changes, private=False)

    return made


def test_memory_is_added_up_over_all_processes(watch):
    """Of two that hold 200 MB each neither holds 300, private or shared; what is mapped from files does not count."""
    shared = mmap.mmap(-1, 200_000_000)
    with Child(lambda: bytearray(b"x") * 200_000_000):
        assert watch(memory=300_000_000).over() == ""
        with Child(lambda: bytearray(b"x") * 200_000_000):
            assert watch(memory=300_000_000).over() == "memory"
            assert watch().over() == ""
        with Child(lambda: shared.write(b"x" * 200_000_000)):
            assert watch(memory=300_000_000).over() == "memory"


def test_computing_is_added_up_over_all_processes(watch):
    def burn():
        end = time.process_time() + 0.8
        while time.process_time() < end:
            pass

    with Child(burn):
        assert watch(seconds=0.0).over() == ""
        with Child(burn):
            assert watch(seconds=0.5).over() == "cpu"
            assert watch(seconds=2.0).over() == ""


def test_many_short_processes_are_charged_by_the_clock(watch, monkeypatch):
    private = watch(seconds=2.0)
    private.private, private.begun = True, time.monotonic() - 5
    monkeypatch.setattr(watching, "held", lambda *given: (0, 0))
    assert private.over() == ""
    private.before -= watching.MANY + 1
    assert private.over() == "cpu"


def test_files_and_bytes_are_counted(watch, tmp_path):
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(bytes(10_000))
    assert watch().over() == watch(entries=20).over() == ""
    assert watch(entries=19).over() == "files"
    assert watch(disk=100_000).over() == "files"
    size, entries = watching.held("/dev/shm", True, 1)
    assert size >= 0
    assert entries >= 0


def test_processes_below_one_are_found_with_those_below_them():
    with Child(lambda: None) as child:
        assert set(watching.descendants(os.getpid())) >= {child.pid}
        assert watching.descendants(child.pid) == {}


def test_a_folder_is_emptied_however_deep_and_whatever_its_rights(tmp_path):
    box, outside = tmp_path / "box", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (box / "a" / "b" / "c").mkdir(parents=True)
    (box / "a" / "link").symlink_to(outside)
    (box / "a" / "b" / "c" / "d").write_text("x")
    (box / "a" / "b").chmod(0)
    (box / "a").chmod(0)
    place = os.open(box, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=place)
        place, above = os.open("deep", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)
    os.utime(box, (7, 7))
    watching.emptied(str(box))
    assert os.listdir(box) == []
    assert os.listdir(outside) == ["kept"]


def test_what_is_left_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "descendants", lambda pid: {})
    os.utime(tmp_path, (7, 7))
    tmp_path.chmod(0o777)
    assert watching.cleaned(str(tmp_path))
    assert (tmp_path.stat().st_mtime, tmp_path.stat().st_mode & 0o777) == (0, 0o700)
    monkeypatch.setattr(watching, "emptied", lambda folder, owner=None: None)
    (tmp_path / "left").write_text("x")
    assert not watching.cleaned(str(tmp_path))
    (tmp_path / "left").unlink()
    monkeypatch.setattr(watching, "descendants", lambda pid: {5: (1, 0.0)})
    assert not watching.cleaned(str(tmp_path))


def test_of_a_folder_of_everybodys_only_ones_own_goes(tmp_path):
    (tmp_path / "mine").write_text("x")
    watching.emptied(str(tmp_path), os.getuid() + 1)
    assert os.listdir(tmp_path) == ["mine"]
    watching.emptied(str(tmp_path), os.getuid())
    assert os.listdir(tmp_path) == []
