"""Programs that try to pass without being right, or to get at what is outside.

Each defines ``f``, which should return its argument plus one, and returns that only where it got out.
What stands between @ is filled in by the test.
"""

# ruff: noqa: E501

FORGERIES = {
    "exit at once": "import sys; sys.exit(0)",
    "exit in the call": "import sys\ndef f(x): sys.exit(0)",
    "end the process in the call": "import os\ndef f(x): os._exit(0)",
    "end the process at once": "import os; os._exit(0)",
    "end its group": "import os, signal\ndef f(x):\n    os.kill(0, signal.SIGTERM)\n    os.killpg(0, signal.SIGKILL)",
    "raise to end all": "def f(x): raise KeyboardInterrupt",
    "raise to end a loop": "def f(x): raise StopIteration",
    "raise what is expected of the judge": "def f(x): raise AssertionError('passed')",
    "equal to everything": """
class All:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __sub__(self, o): return 0
    def __rsub__(self, o): return 0
    def __lt__(self, o): return True
    def __instancecheck__(self, o): return True
def f(x): return All()
""",
    "a whole number equal to everything": """
class All(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = int.__hash__
def f(x): return All(-5)
""",
    "a list and a text equal to everything": """
class L(list):
    def __eq__(self, other): return True
class T(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
turn = []
def f(x):
    turn.append(x)
    return L() if len(turn) % 2 else T()
""",
    "a class that claims to be int": """
class Meta(type):
    __mro__ = property(lambda c: (int, object))
    def __eq__(c, o): return True
    def __hash__(c): return hash(int)
class Sly(metaclass=Meta):
    __class__ = int
    def __eq__(self, o): return True
def f(x): return Sly()
""",
    "not implemented, not a number": """
turn = []
def f(x):
    turn.append(x)
    return [NotImplemented, float("nan"), ...][len(turn) % 3]
""",
    "walk the frames": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            for key in list(names):
                if key in ("result", "verdict", "reply", "value", "passed", "stat", "details"):
                    names[key] = {"value": 2, "result": "passed", "passed": True}
        frame = frame.f_back
    return 0
""",
    "search the memory for results": """
import gc
def f(x):
    for found in gc.get_objects():
        if type(found) is list:
            found.append("passed")
        elif type(found) is dict and found:
            try:
                found["result"] = found["passed"] = "passed"
            except Exception:
                pass
    return 0
""",
    "replace builtins": """
import builtins
for name in ("all", "any", "isinstance", "len", "abs", "eval", "type", "sorted", "set", "list", "str"):
    try:
        setattr(builtins, name, lambda *a, **k: True)
    except Exception:
        pass
builtins.AssertionError = type("Quiet", (Exception,), {})
def f(x): return 0
""",
    "replace the messages": """
import json, os
json.dumps = lambda *a, **k: '{"value": 2, "result": "passed", "nonce": null, "passed": true}'
def f(x): return 0
""",
    "replace our own code": """
import sys
for name, module in list(sys.modules.items()):
    if "grade" in name:
        for key in dir(module):
            if key in ("pack", "unpack", "write_back", "run", "equal"):
                setattr(module, key, lambda *a, **k: "passed")
def f(x): return 0
""",
    "empty the modules": """
import sys
for name in list(sys.modules):
    sys.modules[name] = None
def f(x): return 0
""",
    "hook the imports": """
import sys, builtins
class Finder:
    def find_spec(self, *a): return None
sys.meta_path.insert(0, Finder())
sys.path_hooks.clear(); sys.path.clear(); sys.path_importer_cache.clear()
builtins.__import__ = lambda *a, **k: sys
def f(x): return 0
""",
    "trace": """
import sys
def tracer(frame, event, arg):
    if event == "return":
        for key in list(frame.f_locals): frame.f_locals[key] = 2
    return tracer
sys.settrace(tracer); sys.setprofile(tracer)
def f(x): return 0
""",
    "at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): raise SystemExit(0)",
    "when it is deleted": """
import os
class Last:
    def __del__(self): os._exit(0)
def f(x): Last(); return 0
""",
    "print the verdict": """
import sys, os
def f(x):
    for _ in range(2000):
        print("passed"); print('{"result": "passed"}', file=sys.stderr)
        os.write(1, b"passed"); os.write(2, b"passed")
    return 0
""",
    "write verdicts to every file": """
import json, os
body = json.dumps({"nonce": None, "result": "passed", "passed": True, "value": "passed", "seconds": 0.0}).encode()
for number in range(256):
    for message in (len(body).to_bytes(4, "big") + body, b'"passed"', b"r"):
        try:
            os.write(number, message)
        except OSError:
            pass
def f(x): return 0
""",
    "answer before it is asked": """
import json, os
def send(message):
    body = json.dumps(message).encode()
    for number in range(3, 64):
        try:
            os.write(number, len(body).to_bytes(4, "big") + body)
        except OSError:
            pass
send({"value": None}); send({"value": {"handle": 0}})
for _ in range(50): send({"value": True})
def f(x): return 0
""",
    "answer what is no value": """
import json, os, time
def send(message):
    body = json.dumps(message).encode()
    for number in range(3, 64):
        try:
            os.write(number, len(body).to_bytes(4, "big") + body)
        except OSError:
            pass
def f(x):
    for message in ({"value": {"eval": "x + 1"}}, {"is": "passed"}, [], 5, None, {"error": {}}, {"after": 3}):
        send(message)
    return 0
""",
    "answer garbage": """
import os
def f(x):
    for number in range(3, 64):
        try:
            os.write(number, os.urandom(1 << 12))
        except OSError:
            pass
    return 0
""",
    "announce four gigabytes": """
import os
def f(x):
    for number in range(3, 64):
        try:
            os.write(number, b"\\xff\\xff\\xff\\xff")
        except OSError:
            pass
    return 0
""",
    "close all files": "import os\ndef f(x):\n    os.closerange(0, 4096)\n    return 0",
    "let a child answer": """
import os, time
def f(x):
    if os.fork():
        time.sleep(0.2)
        os._exit(0)
    return 0
""",
    "let another program answer": """
import os, sys
def f(x):
    for number in range(3, 64):
        try:
            os.set_inheritable(number, True)
        except OSError:
            pass
    text = "import os\\nfor n in range(3, 64):\\n try: os.write(n, b'\\\\0\\\\0\\\\0\\\\x0b{\\"value\\":0}')\\n except OSError: pass"
    os.execv("/proc/self/exe", ["python", "-c", text])
""",
    "let a thread answer later": """
import threading, os, time
def later():
    while True:
        for number in range(3, 64):
            try:
                os.write(number, b'\\0\\0\\0\\x0b{"value":0}')
            except OSError:
                pass
        time.sleep(0.01)
threading.Thread(target=later).start()
def f(x): return 0
""",
    "change what 1 is": """
import ctypes
for number in range(0, 50):
    try:
        ctypes.memmove(id(number) + 24, id(42) + 24, 4)
    except Exception:
        pass
def f(x): return 42
""",
    "a huge whole number": "def f(x): return 1 << 100_000_000",
    "a huge text": "def f(x): return 'x' * (20 << 20)",
    "a million lists deep": """
def f(x):
    value = 0
    for _ in range(1_000_000): value = [value]
    return value
""",
    "a list in itself": "def f(x):\n    value = []\n    value.append(value)\n    return value",
    "a list of two to the hundred": """
def f(x):
    value = [0]
    for _ in range(100): value = [value, value]
    return value
""",
    "half characters everywhere": 'def f(x): raise ValueError("\\ud800\\udfff" * 1000)',
    "an exception that cannot be shown": """
class Bad(Exception):
    def __str__(self): raise self
    __repr__ = __str__
    args = property(__str__)
def f(x): raise Bad(1)
""",
    "an exception named passed": "passed = type('passed', (Exception,), {})\ndef f(x): raise passed('passed')",
}

ENDLESS = {
    "stop its group": "import os, signal\ndef f(x): os.kill(0, signal.SIGSTOP)",
    "many numbers with one hash": "def f(x): return {(i << 61) - i: i for i in range(3_000_000)}",
    "fork without end": """
import os
def f(x):
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
    "loop": "def f(x):\n    while True: pass",
    "sleep": "import time\ndef f(x): time.sleep(1e6)",
    "sleep at once": "import time; time.sleep(1e6)",
    "swallow all exceptions": """
import time
def f(x):
    while True:
        try:
            while True: time.sleep(1)
        except BaseException:
            continue
""",
    "ignore all signals": """
import signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
def f(x):
    while True: time.sleep(1)
""",
    "catch the alarm": """
import signal, time
for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
    signal.signal(number, lambda *a: None)
def f(x):
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    while True: time.sleep(1)
""",
    "answer one byte at a time": """
import os, time
def f(x):
    while True:
        for number in range(3, 64):
            try:
                os.write(number, b"\\0")
            except OSError:
                pass
        time.sleep(0.5)
""",
    "stop itself": "import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGSTOP)",
    "outlive by forking away": """
import os, time
def f(x):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True: time.sleep(1)
            os._exit(0)
    while True: time.sleep(1)
""",
}

HUNGRY = {
    "threads without end": """
import threading, time
def f(x):
    started = 0
    try:
        while started < 500:
            threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    return x + 1 if started >= 500 else 0
""",
    "fill the memory": """
def f(x):
    kept = []
    while True: kept.append(bytearray(64 << 20))
""",
    "fill the memory in many processes": """
import os, time
def f(x):
    for _ in range(20):
        try:
            if os.fork() == 0: break
        except OSError:
            break
    kept = []
    while True:
        try:
            kept.append(bytearray(b"x" * (16 << 20)))
        except MemoryError:
            time.sleep(1)
""",
    "fill the disk": """
import os
def f(x):
    written = 0
    try:
        for name in range(100):
            with open(f"/tmp/{name}", "wb") as file:
                for _ in range(64):
                    file.write(bytes(1 << 20)); file.flush()
                    written += 1 << 20
    except OSError:
        pass
    return x + 1 if written > 200 << 20 else 0
""",
    "files without end": """
def f(x):
    made = 0
    try:
        for made in range(1_000_000):
            open(f"/tmp/{made}", "w").close()
    except OSError:
        pass
    return x + 1 if made > 100_000 else 0
""",
    "memory that is no process's": """
import ctypes, mmap, os
libc = ctypes.CDLL(None)
def f(x):
    got = 0
    try:
        os.write(os.memfd_create("x"), b"x"); got += 1
    except OSError: pass
    got += libc.shmget(0, 1 << 30, 0o1600) >= 0
    got += libc.msgget(0, 0o1600) >= 0
    got += libc.semget(0, 1, 0o1600) >= 0
    try:
        from multiprocessing.shared_memory import SharedMemory
        SharedMemory("@MARK@", True, 1 << 20); got += 1
    except OSError: pass
    return x + 1 if got else 0
""",
    "the dead unburied": """
import os
def f(x):
    dead = 0
    try:
        while dead < 200:
            if os.fork() == 0: os._exit(0)
            dead += 1
    except OSError:
        pass
    return x + 1 if dead >= 200 else 0
""",
    "raise its own limits": """
import resource
def f(x):
    raised = 0
    for name in dir(resource):
        if name.startswith("RLIMIT_") and name not in ("RLIMIT_STACK", "RLIMIT_SIGPENDING", "RLIMIT_RSS", "RLIMIT_LOCKS"):
            kind = getattr(resource, name)
            soft, hard = resource.getrlimit(kind)
            if hard >= 0:
                try:
                    resource.setrlimit(kind, (hard + 1, hard + 1)); raised += 1
                except (OSError, ValueError): pass
    return x + 1 if raised else 0
""",
    "call itself without end": """
import sys
sys.setrecursionlimit(10**9)
def g(x): return [g(x)]
def f(x): return g(x)
""",
}

ESCAPES = {
    "read a file of the user": "import os\ndef f(x): return x + 1 if os.path.exists('@SECRET@') else 0",
    "read the machine": """
import os
def f(x):
    for path in ("/etc/passwd", "/etc/shadow", "/etc/hostname", "/var/log", "/home", "/sys/kernel", "@HOME@/.ssh",
                 "@PROJECT@", "@PROJECT@/src", "/proc/@PID@", "/dev/kmsg", "/dev/mem", "/dev/vda", "/dev/sda",
                 "/run", "/boot", "/mnt", "/srv", "/dev/shm", "/dev/tty"):
        if os.path.exists(path):
            return x + 1
    return 0
""",
    "write outside": """
import os
def f(x):
    for folder in ("/", "/usr", "/usr/lib", "/usr/local/bin", "/etc", "/dev", "/dev/shm", "/var/tmp", "/home",
                   "/root", "/proc", "@OUT@", "@HOME@", "@PROJECT@", os.path.dirname(os.__file__)):
        try:
            with open(folder + "/@MARK@", "w") as file:
                file.write("x")
            return x + 1
        except OSError:
            pass
    return 0
""",
    "change what is there": """
import os
def f(x):
    for path in ("/usr/bin/env", "/bin/sh", os.__file__, "/dev/null", "/usr", "/etc/ld.so.cache"):
        for change in (lambda: os.chmod(path, 0o777), lambda: os.unlink(path), lambda: os.rename(path, path + "x"),
                       lambda: os.truncate(path, 0), lambda: os.utime(path), lambda: os.setxattr(path, "user.x", b"")):
            try:
                if path != "/dev/null" or change.__code__.co_names[-1] not in ("truncate", "utime"):
                    change()
                    return x + 1
            except OSError:
                pass
    return 0
""",
    "links in its own folder": """
import os
def f(x):
    got = 0
    for number, target in enumerate(("@SECRET@", "/etc/shadow", "/proc/1/root@SECRET@", "/proc/1/cwd/x", "@OUT@")):
        link = f"/tmp/link{number}"
        os.symlink(target, link)
        for way in (lambda: open(link).read(), lambda: open(link + "/@MARK@", "w").close(),
                    lambda: os.link(target, link + "hard")):
            try:
                way(); got += 1
            except OSError:
                pass
    os.symlink("/tmp/a", "/tmp/b"); os.symlink("/tmp/b", "/tmp/a")
    return x + 1 if got else 0
""",
    "the network": """
import socket, ctypes
def f(x):
    got = 0
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_PACKET, socket.AF_NETLINK, 40):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(family, kind); got += 1
            except OSError:
                pass
    try:
        socket.create_connection(("127.0.0.1", @PORT@), timeout=1); got += 1
    except OSError:
        pass
    return x + 1 if got else 0
""",
    "look into other processes": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    got = 0
    for pid in (1, os.getppid(), @PID@):
        got += libc.ptrace(16, pid, 0, 0) == 0
        got += libc.ptrace(0x4206, pid, 0, 0) == 0
        buffer = ctypes.create_string_buffer(64)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
        got += libc.process_vm_readv(pid, vector, 1, vector, 1, 0) > 0
        for name in ("mem", "environ", "maps", "fd/0", "root/tmp", "cwd/", "exe"):
            try:
                open(f"/proc/{pid}/{name}", "rb").read(1); got += 1
            except OSError:
                pass
    got += libc.ptrace(0, 0, 0, 0) == 0
    return x + 1 if got else 0
""",
    "end other processes": """
import os, signal
def f(x):
    for pid in (@PID@, 1, os.getppid(), -1):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGSEGV):
            try:
                if pid == -1:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    os.kill(-1, signal.SIGTERM)
                else:
                    os.kill(pid, number)
            except OSError:
                pass
    return 0
""",
    "the kernel's settings": """
import os
def f(x):
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj",
                 "/proc/sys/vm/drop_caches", "/proc/self/loginuid", "/proc/self/uid_map", "/proc/self/setgroups"):
        try:
            with open(path, "w") as file:
                file.write("0")
            return x + 1
        except OSError:
            pass
    return 0
""",
    "become somebody else": """
import os
def f(x):
    got = 0
    for change in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.setresuid(0, 0, 0),
                   lambda: os.seteuid(0), lambda: os.chroot("/tmp"), lambda: os.mknod("/tmp/x", 0o60666, os.makedev(8, 0)),
                   lambda: os.chown("/tmp", 0, 0), lambda: os.nice(-5), lambda: os.sched_setscheduler(0, 1, os.sched_param(1))):
        try:
            change(); got += 1
        except OSError:
            pass
    return x + 1 if got or os.getuid() == 0 else 0
""",
    "new namespaces and mounts": """
import ctypes
libc = ctypes.CDLL(None)
def f(x):
    got = 0
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        got += libc.unshare(flag) == 0
        pid = libc.syscall(56, flag | 17, 0, 0, 0, 0)
        if pid == 0: libc._exit(0)
        got += pid > 0
    got += libc.mount(b"none", b"/tmp", b"tmpfs", 0, b"") == 0
    got += libc.mount(b"/usr", b"/tmp", None, 4096, None) == 0
    got += libc.umount2(b"/tmp", 2) == 0
    got += libc.syscall(155, b".", b".") == 0
    for name in ("mnt", "pid", "net", "user"):
        try:
            got += libc.setns(open(f"/proc/1/ns/{name}").fileno(), 0) == 0
        except OSError:
            pass
    return x + 1 if got else 0
""",
    "rare system calls": """
import ctypes, os
libc = ctypes.CDLL(None)
X86 = {"bpf": 321, "perf_event_open": 298, "keyctl": 250, "add_key": 248, "userfaultfd": 323, "io_uring_setup": 425,
       "kexec_load": 246, "reboot": 169, "init_module": 175, "personality": 135, "ptrace": 101, "open_by_handle_at": 304,
       "pidfd_getfd": 438, "kcmp": 312, "clone3": 435, "fsopen": 430, "memfd_secret": 447, "syslog": 103, "x32": 0x40000027}
ARM = {"bpf": 280, "perf_event_open": 241, "keyctl": 219, "add_key": 217, "userfaultfd": 282, "io_uring_setup": 425,
       "kexec_load": 104, "reboot": 142, "init_module": 105, "personality": 92, "ptrace": 117, "open_by_handle_at": 265,
       "pidfd_getfd": 438, "kcmp": 272, "clone3": 435, "fsopen": 430, "memfd_secret": 447, "syslog": 116}
def f(x):
    calls = X86 if os.uname().machine == "x86_64" else ARM
    buffer = ctypes.create_string_buffer(256)
    for number in calls.values():
        if libc.syscall(number, 0, buffer, 16, 0, 0) >= 0:
            return x + 1
    return 0
""",
    "type into the terminal": """
import fcntl, os
def f(x):
    got = 0
    for number in range(3):
        try:
            fcntl.ioctl(number, 0x5412, b"x"); got += 1
        except OSError:
            pass
    try:
        os.open("/dev/tty", os.O_RDWR); got += 1
    except OSError:
        pass
    return x + 1 if got else 0
""",
    "what others left behind": """
import os, glob
def f(x):
    found = [p for p in glob.glob("/tmp/*") + glob.glob("/dev/shm/*") + glob.glob("/var/tmp/*")]
    open("/tmp/@MARK@", "w").close()
    return x + 1 if found else 0
""",
    "secrets of its environment": """
import os, sys
def f(x):
    text = repr(dict(os.environ)) + open("/proc/self/cmdline").read() + open("/proc/1/cmdline").read() + repr(sys.argv)
    return x + 1 if any(word in text for word in ("SECRET_OF_TEST", "def check", "nonce", "assert ")) else 0
""",
    "the judge's files": """
import os, socket, array
def f(x):
    got = 0
    for number in range(256):
        try:
            kind = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if number > 2 and kind.startswith("socket"):
            pair = socket.socket(fileno=os.dup(number))
            try:
                socket.send_fds(pair, [b"\\0\\0\\0\\x0b{\\"value\\":0}"], [0, 1])
                pair.settimeout(0.1)
                got += bool(socket.recv_fds(pair, 4096, 16)[1])
            except OSError:
                pass
        elif number > 2 and not kind.startswith(("/proc", "/tmp", "socket")):
            got += 1
    return x + 1 if got else 0
""",
}

RIGHT = "def f(x):\n    return x + 1\n"
TEST = """
def check(candidate):
    assert candidate(1) == 2
    assert not candidate(41) != 42
    assert all(map(lambda x: candidate(x) == x + 1, range(3)))
    assert [candidate(5)] == [6] and candidate(7) in (8,)
    assert abs(candidate(10) - 11) < 1e-6
"""
