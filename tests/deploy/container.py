#!/usr/bin/python3
"""Builds the container's image and the Debian package without a container engine, and uses them.

    tests/deploy/container.py        (as root; 'N passed, N failed' is its last line)

The Dockerfile's steps run in chroots of a debootstrap'd Debian 12 (tests/deploy/dockerfile.py). The
final stage is then entered as an engine would enter it: its own mount, process and network
namespaces, a read-only root, user 65532, no capabilities, no new privileges, the image's environment,
entry point and health check. The package is built in the build stage and installed in a bare Debian.
"""
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "container")
SIZE_LIMIT = 150e6  # bytes of all files of the image
PATIENCE = 60       # seconds until the service is ready
sys.path.insert(0, HERE)
import dockerfile  # noqa: E402


def report(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def check(condition, what):
    if not condition:
        raise AssertionError(what)
    report(f"  ok: {what}")


# ---- inside the namespaces ----------------------------------------------------------------------

def raise_loopback():
    with socket.socket() as any_socket:
        up_and_running = struct.pack("16sh", b"lo", 0x41)
        fcntl.ioctl(any_socket, 0x8914, up_and_running)  # SIOCSIFFLAGS


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def enter(plan):
    """Mounts what an engine mounts, and gives the argv that starts a program in the image."""
    root = plan["root"]
    raise_loopback()
    mount("--bind", root, root)
    mount("-t", "proc", "proc", f"{root}/proc")
    if plan["models"]:
        mount("--bind", plan["models"], f"{root}/models")
    mount("-o", "remount,ro,bind", root)
    return ["/usr/bin/setpriv", "--no-new-privs", "/usr/sbin/chroot", f"--userspec={plan['user']}",
            "--groups=", root]


def get(port, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body,
                                     headers={"Content-Type": "image/jpeg"} if body else {})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return reply.read()


def wait_until_healthy(service, command, environment):
    end = time.monotonic() + PATIENCE
    while subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode:
        if service.poll() is not None or time.monotonic() > end:
            raise AssertionError("the service did not become healthy")
        time.sleep(0.1)


def check_process(root, pid, user):
    with open(f"{root}/proc/{pid}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    check(status["Uid"].split() == [user] * 4, f"it runs as user {user}")
    check(int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1",
          "it has no capabilities and can gain none")


def inside(plan):
    prefix, environment = enter(plan), plan["environment"]
    service = subprocess.Popen(prefix + plan["serve"], env=environment)
    pid = service.pid  # setpriv and chroot became the service
    try:
        start = time.monotonic()
        wait_until_healthy(service, prefix + plan["health"], environment)
        check(True, f"the health check agrees {time.monotonic() - start:.1f} s after the start")
        check_process(plan["root"], pid, plan["user"].split(":")[0])
        with open(os.path.join(ROOT, "tests", "data", "coffee.jpg"), "rb") as file:
            answer = json.loads(get(8080, "/v1/encode?words=true", file.read()))
        image, = answer["images"]
        tokens = len(json.dumps(image["tokens"]).split(","))
        grid = image["grid"]
        check(tokens == grid[0] * grid[1] * len(answer["planes"]),
              f"a photograph became {tokens} tokens")
        check(b"vqct_ready 1" in get(8081, "/metrics"), "metrics are on the second port")
        output = subprocess.run(prefix + ["/usr/bin/vqct", "init", "--preset", "vqct-tiny",
                                          "--output", "/model.safetensors"],
                                env={}, stderr=subprocess.PIPE, text=True)
        check(output.returncode == 7 and "Read-only file system" in output.stderr,
              "the root cannot be written")
        service.send_signal(signal.SIGTERM)
        check(service.wait(30) == 0, "it drains and ends with 0")
        check(subprocess.run(prefix + plan["health"], env=environment,
                             stderr=subprocess.DEVNULL).returncode != 0,
              "the health check says that it is gone")
    finally:
        service.kill()


def use(root, image_like, models=""):
    """Runs inside() for a root folder in namespaces of its own."""
    plan = {"root": root, "models": models, **image_like}
    subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
                    sys.executable, os.path.abspath(__file__), "--inside", json.dumps(plan)],
                   check=True, stdin=subprocess.DEVNULL)


# ---- the image ----------------------------------------------------------------------------------

def image_size(root):
    return sum(os.lstat(os.path.join(folder, name)).st_size
               for folder, _, names in os.walk(root) for name in names)


def check_libraries(root):
    output = subprocess.run(["chroot", root, "ldd", "/usr/bin/vqct"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    check("not found" not in output, f"all {len(output.splitlines())} shared libraries are there")


def make_models(build_root):
    """A folder with the model that the image names, for an image that ships none."""
    folder = os.path.join(WORK, "models")
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["chroot", build_root, "/out/usr/bin/vqct", "init", "--preset", "vqct-f8-small",
                    "--output", "/tmp/model.safetensors"], check=True)
    shutil.move(f"{build_root}/tmp/model.safetensors", f"{folder}/vqct-small.safetensors")
    os.chmod(f"{folder}/vqct-small.safetensors", 0o644)
    return folder


def try_image(stages):
    image = stages["final"]
    size = image_size(image.root)
    check(size < SIZE_LIMIT, f"the image's files are {size / 1e6:.1f} MB")
    check_libraries(image.root)
    check(image.user == "65532:65532" and image.ports == ["8080", "8081"],
          "it names its user and its ports")
    labels = {f"org.opencontainers.image.{name}" for name in
              ("title", "description", "version", "licenses")}
    check(labels <= set(image.labels), "it has the OCI labels")
    ships = os.path.exists(f"{image.root}/models/vqct-small.safetensors")
    report(f"  the model {'ships in the image' if ships else 'is mounted: the image ships none'}")
    use(image.root, {"user": image.user, "serve": image.entrypoint + image.command,
                     "health": image.healthcheck,
                     "environment": {**image.environment, "VQCT_DRAIN_DELAY": "0.5s"}},
        "" if ships else make_models(stages["build"].root))


# ---- the package --------------------------------------------------------------------------------

def installed_files(root, package):
    output = subprocess.run(["chroot", root, "dpkg", "-L", package], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    return [path for path in output.splitlines() if not os.path.isdir(root + path)]


def exec_start(root):
    with open(f"{root}/lib/systemd/system/vqct.service") as file:
        return re.search(r"^ExecStart=(.*)$", file.read(), re.M)[1].split()


def user_id(root, name):
    with open(f"{root}/etc/passwd") as file:
        found = re.search(rf"^{name}:[^:]*:(\d+):(\d+):", file.read(), re.M)
    return f"{found[1]}:{found[2]}"


def make_packages(build_root):
    """Builds them; the names of that of the command and that of Python."""
    dockerfile.chroot_run(build_root, "make deb", directory="/src")
    names = [name for name in os.listdir(f"{build_root}/src/build") if name.endswith(".deb")]
    python, package = sorted(names)
    check(python.startswith("python3-vqct_") and package.startswith("vqct_"),
          f"make deb makes {' and '.join(names)}")
    return package, python


def try_python(root, package):
    """Installs the package of Python and compares what it encodes with what the command does."""
    dockerfile.chroot_run(root, f"apt-get install -q -y --no-install-recommends /tmp/{package}")
    files = installed_files(root, "python3-vqct")
    picture = f"{root}/tmp/coffee.jpg"
    shutil.copy(os.path.join(ROOT, "tests", "data", "coffee.jpg"), picture)
    dockerfile.chroot_run(root, "vqct init --preset vqct-tiny -o m.safetensors && "
                                "vqct encode m.safetensors coffee.jpg -o t.npy --size 64 && "
                                "python3 -c 'import vqct, numpy, importlib.metadata as about; "
                                "tokens = vqct.Model(\"m.safetensors\").encode(\"coffee.jpg\", size=64); "
                                "numpy.testing.assert_array_equal(tokens, numpy.load(\"t.npy\")); "
                                "numpy.testing.assert_array_equal(tokens[0], vqct.tokens(\"t.npy\")[0]); "
                                "print(about.version(\"vqct\"))'", directory="/tmp")
    check(True, f"{package} encodes as the command does")
    dockerfile.chroot_run(root, "apt-get purge -q -y python3-vqct")
    left = [path for path in files if os.path.lexists(root + path)]
    folder = f"{root}/usr/lib/python3/dist-packages/vqct"
    check(not left and not os.path.exists(folder), f"it leaves nothing behind {left}")


def try_package(stages):
    build_root = stages["build"].root
    package, python = make_packages(build_root)
    root = os.path.join(WORK, "debian")
    shutil.rmtree(root, ignore_errors=True)
    dockerfile.run(["cp", "-a", os.path.join(WORK, "base", "root"), root])
    for name in package, python:
        shutil.copy(f"{build_root}/src/build/{name}", f"{root}/tmp/{name}")
    dockerfile.chroot_run(root, "apt-get update -q && apt-get install -q -y "
                                f"--no-install-recommends /tmp/{package}")
    files = installed_files(root, "vqct")
    check(f"{root}/usr/bin/vqct" and len(files) > 10, f"{package} installs {len(files)} files")
    check_libraries(root)
    os.makedirs(f"{root}/models", exist_ok=True)
    ships = os.path.exists(f"{root}/usr/share/vqct/models/vqct-small.safetensors")
    environment = {"VQCT_DRAIN_DELAY": "0.5s"}
    if not ships:
        environment["VQCT_MODEL"] = "/models/vqct-small.safetensors"
    use(root, {"user": user_id(root, "vqct"), "serve": exec_start(root),
               "health": ["/usr/bin/vqct", "health"], "environment": environment},
        "" if ships else os.path.join(WORK, "models"))
    try_python(root, python)
    dockerfile.chroot_run(root, "apt-get purge -q -y vqct")
    left = [path for path in files if os.path.lexists(root + path)]
    check(not left and not os.path.exists(f"{root}/etc/vqct"), f"it leaves nothing behind {left}")


def main():
    if sys.argv[1:2] == ["--inside"]:
        inside(json.loads(sys.argv[2]))
        return 0
    passed = failed = 0
    stages = dockerfile.build(ROOT, WORK, report)
    for trial in (try_image, try_package):
        try:
            trial(stages)
            passed += 1
        except (AssertionError, subprocess.CalledProcessError, OSError):
            traceback.print_exc()
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
