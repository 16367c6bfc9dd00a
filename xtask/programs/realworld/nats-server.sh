# nats-server: 1000 messages to two subscribers.
"$BIN" -a 127.0.0.1 -p "$PORT" -m 0 >log 2>&1 &
python3 - "$PORT" <<'PYTHON'
import hashlib, socket, sys, time
def connect():
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("nobody listens")
def reader(connection):
    return connection.makefile("rb")
def until_pong(lines, received):
    while True:
        line = lines.readline()
        if line == b"PONG\r\n" or not line:
            return
        if line.startswith(b"MSG"):
            received.append(line + lines.readline())
subscribers = []
for subject in (b"a.*", b"a.5"):
    connection = connect()
    lines = reader(connection)
    lines.readline()
    connection.sendall(b"CONNECT {\"verbose\":false}\r\nSUB " + subject + b" 1\r\nPING\r\n")
    until_pong(lines, [])
    subscribers.append((connection, lines))
publisher = connect()
lines = reader(publisher)
lines.readline()
publisher.sendall(b"CONNECT {\"verbose\":false}\r\n")
for n in range(1000):
    payload = b"message %d" % n
    publisher.sendall(b"PUB a.%d %d\r\n%s\r\n" % (n % 10, len(payload), payload))
publisher.sendall(b"PING\r\n")
until_pong(lines, [])
for connection, lines in subscribers:
    received = []
    connection.sendall(b"PING\r\n")
    until_pong(lines, received)
    print(len(received), hashlib.sha256(b"".join(received)).hexdigest())
PYTHON
kill "$!"
wait "$!"
echo "ended $?"
