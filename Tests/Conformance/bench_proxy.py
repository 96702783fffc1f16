"""What the proxy costs, beside haproxy, nginx and etcd's own proxies, in front of the same three real members.

Tests/Conformance/run proxy [seconds [names of proxies]]     (also: make bench-proxy)

Ranges with an empty answer, from `quorate-bench range-load`, through each proxy in turn, three times; then 10,000 connections that have said
they speak HTTP/2 and nothing else. Proxies that are not installed are left out (Debian: haproxy, nginx-light). Not a test: it takes a quiet
machine.
"""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import releases  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.daemon import Daemon, clean_environment, etcd, free_ports, kill_all, poll, quorate  # noqa: E402
from harness.pki import Authority  # noqa: E402
from harness.trio import Trio  # noqa: E402

LOADS = [(1, 1), (10, 100)]
ROUNDS = 3
IDLE_CONNECTIONS = 10_000
# Of these processes and those they start: a proxy has two ends of each connection.
OPEN_FILES = 4 * IDLE_CONNECTIONS
TICKS = os.sysconf("SC_CLK_TCK")
ANY_CERTIFICATE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANY_CERTIFICATE.check_hostname = False
ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE
ANY_CERTIFICATE.set_alpn_protocols(["h2"])
BENCH = releases.ROOT / ".build" / "release" / "quorate-bench"

HAPROXY = """global
  nbthread {threads}
  maxconn {connections}
defaults
  mode {mode}
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  maxconn {connections}
frontend clients
  bind 127.0.0.1:{port} {protocol}
  default_backend members
backend members
  balance leastconn
{servers}
"""
NGINX = """worker_processes {threads}; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 32768; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; keepalive_requests 1000000000;
  upstream members {{ {servers} keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://members; }} }}
}}
"""


def commands(folder, members, reference):
    """Name, function of a port that gives the command line."""
    addresses = [member.endpoint for member in members]
    threads = os.cpu_count()

    def ours(mode, *flags, scheme="http"):
        return lambda port: [
            quorate().command[0], "proxy", "--mode", mode, "--endpoints", ",".join(addresses), "--listen-client-urls",
            f"{scheme}://127.0.0.1:{port}", "--data-dir", str(folder / f"data-{mode}-{port}"), *flags,
        ]  # fmt: skip

    def haproxy(mode, protocol):
        def command(port):
            path = folder / f"haproxy-{mode}.cfg"
            servers = "\n".join(f"  server m{n} {each} check {protocol}" for n, each in enumerate(addresses))
            # More would need more descriptors than there are, and it would not start.
            most = idle_connections() + 20
            path.write_text(
                HAPROXY.format(mode=mode, protocol=protocol, port=port, servers=servers, threads=threads, connections=most)
            )
            return ["haproxy", "-db", "-f", str(path)]

        return command

    def nginx(port):
        path = folder / "nginx.conf"
        servers = " ".join(f"server {each};" for each in addresses)
        path.write_text(NGINX.format(folder=folder, servers=servers, port=port, threads=threads))
        return ["nginx", "-c", str(path)]

    def etcd_proxy(command, *flags):
        listen = "--listen-addr=127.0.0.1:{}"
        return lambda port: [
            str(reference.etcd), command, "start", listen.format(port), "--endpoints=" + ",".join(addresses),
            *(flag.format(port=port) for flag in flags),
        ]  # fmt: skip

    yield "quorate tcp", ours("tcp")
    if shutil.which("haproxy"):
        yield "haproxy tcp", haproxy("tcp", "")
    yield "etcd gateway", etcd_proxy("gateway")
    yield "quorate http", ours("http")
    if not (folder / "ca").exists():
        Authority(folder / "ca").issue("proxy")
    pair = ["--cert-file", str(folder / "ca" / "proxy.crt"), "--key-file", str(folder / "ca" / "proxy.key")]
    yield "quorate http over TLS", ours("http", *pair, scheme="https")
    if shutil.which("haproxy"):
        yield "haproxy http", haproxy("http", "proto h2")
    if shutil.which("nginx"):
        yield "nginx grpc_pass", nginx
    # It connects to itself by the address that it advertises, and ends when it cannot.
    advertised = "--advertise-client-url=127.0.0.1:{port}"
    yield "etcd grpc-proxy", etcd_proxy("grpc-proxy", advertised, "--data-dir", str(folder / "grpc-proxy"))


def family(pid):
    """A process and its children's children."""
    found = [pid]
    for parent in found:
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            found += [int(child) for child in file.read().split()]
    return found


def cpu_seconds(pid):
    total = 0
    for each in family(pid):
        with open(f"/proc/{each}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def resident_mib(pid):
    """Of a family of processes what each has for itself and once what they share."""
    pages = [open(f"/proc/{each}/statm").read().split() for each in family(pid)]
    size = os.sysconf("SC_PAGESIZE") / (1 << 20)
    own = sum(int(each[1]) - int(each[2]) for each in pages)
    return (own + max(int(each[2]) for each in pages)) * size


def own_mib(pid):
    """Of a family of processes what no file stands behind: the rest is program text, which the kernel may take back."""
    lines = [line for each in family(pid) for line in open(f"/proc/{each}/status") if line.startswith("RssAnon:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def measure(port, pid, connections, clients, seconds):
    before = cpu_seconds(pid)
    arguments = [BENCH, "range-load", "127.0.0.1", port, connections, clients, seconds]
    done = subprocess.run([str(each) for each in arguments], capture_output=True, text=True, timeout=seconds + 60, check=True)
    result = json.loads(done.stdout)
    result["cpu_us"] = (cpu_seconds(pid) - before) / max(1, result["requests"]) * 1e6
    return result


def idle_connections():
    """As many as wanted, or as a proxy can have with two descriptors each."""
    return min(IDLE_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2)


def open_connection(port, is_secure):
    """One that has said it speaks HTTP/2, and heard the same."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    # As clients of HTTP/2 do: the greeting would wait for an acknowledgement of the handshake's end, 40 ms each time.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if is_secure:
        connection = ANY_CERTIFICATE.wrap_socket(connection)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    connection.recv(9)
    return connection


def idle_mib(port, pid, is_secure):
    """Memory with many idle connections; how many is in the table's head."""
    connections = []
    try:
        for _ in range(idle_connections()):
            connections.append(open_connection(port, is_secure))
        time.sleep(2)
        return resident_mib(pid)
    finally:
        for connection in connections:
            connection.close()


def run(name, command, seconds):
    (port,) = free_ports(1)
    is_secure = name.endswith("TLS")
    process = subprocess.Popen(
        command(port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment()
    )
    try:
        def ready():
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            if is_secure:
                with contextlib.suppress(OSError):
                    open_connection(port, True).close()
                    return True
                return False
            with Client(f"127.0.0.1:{port}", timeout=2) as client:
                return isinstance(client.outcome("KV/Range", b"\x0a\x01a"), bytes)

        poll(ready, 20, f"{name} serves")
        time.sleep(2)
        cells = []
        for connections, clients in LOADS:
            if is_secure:
                # The load generator speaks no TLS.
                cells.append("- | - | -")
                continue
            results = [measure(port, process.pid, connections, clients, seconds) for _ in range(ROUNDS)]
            errors = sum(each["errors"] for each in results)
            middle = {key: statistics.median(each[key] for each in results) for key in ("cpu_us", "p50_ms", "p99_ms")}
            cells.append(f"{middle['cpu_us']:.1f} | {middle['p50_ms']:.2f} | {middle['p99_ms']:.2f}" + (" !" if errors else ""))
        memory = f"{resident_mib(process.pid):.0f} | {own_mib(process.pid):.1f}"
        try:
            idle = f"{idle_mib(port, process.pid, is_secure):.0f}"
        except OSError as error:
            idle = f"refused ({error})"
        print(f"| {name} | {' | '.join(cells)} | {memory} | {idle} |", flush=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    wanted = sys.argv[2:]
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, max(OPEN_FILES, hard_limit)))
    except ValueError:
        # Not root: the connections that are too many are refused.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    reference = releases.newest("3.5")
    made = []

    def make(software, folder, **options):
        made.append(Daemon(software, root / folder, **options))
        return made[-1]

    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        try:
            members = Trio(make, etcd(reference)).members
            columns = "".join(f" CPU us/req, {c} client{'s' * (c > 1)} | p50 ms | p99 ms |" for _, c in LOADS)
            print(f"| proxy |{columns} MiB | of it no file's | MiB, {idle_connections():,} idle connections |\n|" + "---|" * (4 + 3 * len(LOADS)), flush=True)
            for name, command in commands(root, members, reference):
                if not wanted or name in wanted:
                    run(name, command, seconds)
        finally:
            kill_all(made)


if __name__ == "__main__":
    main()
