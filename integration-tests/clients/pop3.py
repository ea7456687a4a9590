"""poplib against a running Posthaste: clear, STLS, TLS; a lock, stable names, deletions at QUIT."""
import os
import poplib
import ssl

host, password = os.environ["HOST"], os.environ["PASSWORD"]
user = "bob@" + os.environ["DOMAIN"]
context = ssl.create_default_context(cafile=os.environ["ROOTS"])
context.check_hostname = False


def clear():
    return poplib.POP3(host, int(os.environ["POP3"]), timeout=20)


def log_in(session):
    session.user(user)
    session.pass_(password)
    return session


first = log_in(clear())
assert first.stat()[0] == 3, first.stat()
names = [line.split()[1] for line in first.uidl()[1]]
assert len(set(names)) == 3
try:
    log_in(clear())
    raise SystemExit("two sessions at once")
except poplib.error_proto as refused:
    assert b"[IN-USE]" in refused.args[0], refused
lines = first.retr(1)[1]
assert b".a line with a dot" in lines and lines[-1] == b"the end", lines[-3:]
top = first.top(1, 1)[1]
assert top[-1] == b".a line with a dot" and top[-2] == b"", top[-3:]
first.dele(2)
assert first.stat()[0] == 2
try:
    first.retr(2)
    raise SystemExit("a deleted letter was sent")
except poplib.error_proto:
    pass
first.rset()
assert first.stat()[0] == 3
first.dele(3)
# The connection ends without QUIT: nothing is deleted.
first.close()

second = clear()
second.stls(context)
for _ in range(50):
    try:
        log_in(second)
        break
    except poplib.error_proto as refused:
        assert b"[IN-USE]" in refused.args[0], refused
        second = clear()
        second.stls(context)
assert [line.split()[1] for line in second.uidl()[1]] == names
second.dele(3)
second.quit()

third = log_in(poplib.POP3_SSL(host, int(os.environ["POP3S"]), context=context, timeout=20))
assert [line.split()[1] for line in third.uidl()[1]] == names[:2]
assert "PIPELINING" in third.capa() and "UTF8" in third.capa()
third.quit()
