"""Executes the steps of a Dockerfile in chroots of a debootstrap'd Debian, for machines without a
container engine. It knows what our Dockerfile uses and refuses anything else."""
import json
import os
import re
import shlex
import shutil
import subprocess

# What debian:12-slim leaves out of every package.
SLIM = """path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/groff/*
path-exclude /usr/share/lintian/*
"""
NO_SERVICES = "#!/bin/sh\nexit 101\n"  # policy-rc.d: packages start nothing


def run(argv, **options):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, **options)


def make_base(path, suite="bookworm"):
    """A Debian like debian:12-slim, kept for the next run."""
    if os.path.exists(os.path.join(path, "complete")):
        return os.path.join(path, "root")
    shutil.rmtree(path, ignore_errors=True)
    root = os.path.join(path, "root")
    os.makedirs(root)
    run(["debootstrap", "--variant=minbase", suite, root], stdout=subprocess.DEVNULL)
    for name in ("doc", "man", "info", "locale", "groff", "lintian"):
        shutil.rmtree(f"{root}/usr/share/{name}", ignore_errors=True)
        os.makedirs(f"{root}/usr/share/{name}")
    for name in ("var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", "var/log"):
        shutil.rmtree(f"{root}/{name}", ignore_errors=True)
        os.makedirs(f"{root}/{name}")
    with open(f"{root}/etc/dpkg/dpkg.cfg.d/slim", "w") as file:
        file.write(SLIM)
    with open(f"{root}/usr/sbin/policy-rc.d", "w") as file:
        os.fchmod(file.fileno(), 0o755)
        file.write(NO_SERVICES)
    sources = f"deb http://deb.debian.org/debian {suite} main\n" \
              f"deb http://deb.debian.org/debian {suite}-updates main\n" \
              f"deb http://deb.debian.org/debian-security {suite}-security main\n"
    with open(f"{root}/etc/apt/sources.list", "w") as file:
        file.write(sources)
    open(os.path.join(path, "complete"), "w").close()
    return root


def chroot_run(root, command, environment=None, directory="/"):
    """A shell command in a chroot with /proc and the network of this machine."""
    shutil.copy("/etc/resolv.conf", f"{root}/etc/resolv.conf")
    inner = f"mount -t proc proc {shlex.quote(root)}/proc && exec chroot {shlex.quote(root)} " \
            f"/bin/sh -ec {shlex.quote(f'cd {directory} && {command}')}"
    clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "DEBIAN_FRONTEND": "noninteractive", **(environment or {})}
    run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", inner], env=clean)


def instructions(text):
    """[(NAME, rest)] with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines()]


class Image:
    """One stage: a root folder and what `docker run` would take from its configuration."""

    def __init__(self, root):
        self.root, self.directory, self.user = root, "/", "0:0"
        self.environment, self.arguments, self.labels = {}, {}, {}
        self.entrypoint, self.command, self.healthcheck = [], [], []
        self.ports = []

    def pairs(self, rest):
        expand = re.sub(r"\$\{(\w+)\}", lambda m: self.arguments[m[1]], rest)
        return dict(word.split("=", 1) for word in shlex.split(expand))

    def copy(self, rest, context, stages):
        words = rest.split()
        source_root = context
        if words[0].startswith("--from="):
            source_root = stages[words.pop(0)[len("--from="):]].root
        source, target = words
        target = os.path.join(self.root, os.path.join(self.directory, target).lstrip("/"))
        source = os.path.join(source_root, source.lstrip("/"))
        os.makedirs(target if os.path.isdir(source) else os.path.dirname(target), exist_ok=True)
        run(["cp", "-a", f"{source}/." if os.path.isdir(source) else source, target])

    def step(self, name, rest, context, stages):
        if name == "RUN":
            chroot_run(self.root, rest, self.environment, self.directory)
        elif name == "COPY":
            self.copy(rest, context, stages)
        elif name == "WORKDIR":
            self.directory = rest
            os.makedirs(self.root + rest, exist_ok=True)
        elif name == "ARG":
            self.arguments.update(self.pairs(rest))
        elif name == "ENV":
            self.environment.update(self.pairs(rest))
        elif name == "LABEL":
            self.labels.update(self.pairs(rest))
        elif name == "USER":
            self.user = rest
        elif name == "EXPOSE":
            self.ports = rest.split()
        elif name == "ENTRYPOINT":
            self.entrypoint = json.loads(rest)
        elif name == "CMD":
            self.command = json.loads(rest)
        elif name == "HEALTHCHECK":
            self.healthcheck = json.loads(rest[rest.index("CMD") + 3:])
        else:
            raise ValueError(f"{name} is not known here")


def make_context(source, path):
    """The files that `docker build` would send: all but what .dockerignore names."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    with open(os.path.join(source, ".dockerignore")) as file:
        excluded = [f"--exclude=./{line.strip()}" for line in file if line.strip()]
    pack = subprocess.Popen(["tar", "-C", source, *excluded, "-c", "."], stdout=subprocess.PIPE)
    run_unpack = subprocess.run(["tar", "-C", path, "-x"], stdin=pack.stdout)
    if pack.wait() or run_unpack.returncode:
        raise RuntimeError("the build context could not be copied")
    return path


def build(source, work, report):
    """Executes every step; returns the images by stage name, the last as 'final'."""
    base = make_base(os.path.join(work, "base"))
    context = make_context(source, os.path.join(work, "context"))
    stages, image = {}, None
    with open(os.path.join(source, "Dockerfile")) as file:
        steps = instructions(file.read())
    for name, rest in steps:
        report(f"{name} {rest[:90]}")
        if name == "FROM":
            found = re.fullmatch(r"debian:12-slim(?: AS (\w+))?", rest)
            if not found:
                raise ValueError(f"FROM {rest}: only debian:12-slim is known here")
            root = os.path.join(work, found[1] or "final")
            shutil.rmtree(root, ignore_errors=True)
            run(["cp", "-a", base, root])
            image = stages[found[1] or "final"] = Image(root)
        else:
            image.step(name, rest, context, stages)
    return stages
